"""What can be used of a log, counted while it is read: where that is nothing, the log is refused at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl

from ..errors import InputError
from .memory import IDS, NAME, columns_option
from .rollouts import Rollouts, location


@dataclass(slots=True)
class Usable:
    """Counts what can be used of a log, to raise at the end if that is nothing."""

    rows: int = 0
    used: int = 0
    empty: int = 0
    largest: int = 0
    reject: dict[str, Any] | None = None

    def add(self, batch: Rollouts) -> None:
        """Count what can be used of a batch."""
        self.used += len(batch.table)
        if len(batch.table):
            self.empty += _without_units(batch.table)
            self.largest = max(self.largest, int(batch.table["sample"].to_numpy().max()) + 1)
        if self.reject is None and len(batch.rejected):
            self.reject = batch.rejected.row(0, named=True)

    def merge(self, other: Usable) -> None:
        """Add what was counted of later batches."""
        self.rows, self.used, self.empty = self.rows + other.rows, self.used + other.used, self.empty + other.empty
        self.largest, self.reject = max(self.largest, other.largest), self.reject or other.reject

    def check(self, names: list[str], key: str) -> None:
        """Raise InputError where nothing can be used, or no group has two completions.

        Args:
            names: Files, for the message.
            key: What rows were grouped by.
        """
        if not self.used and self.reject:
            how = "reading=grpo_prm.ReadOptions(columns=...)" if names == [NAME] else "--columns"
            raise InputError(
                f"{_said(self.reject)}; none of the {self.rows} rows can be used."
                f" Mend the log, or say with {how} where its columns are."
            )
        if not self.used:
            raise InputError(f"{', '.join(names[:3])}: no rows. Name a log with at least one row.")
        if self.empty == self.used:
            raise InputError(
                f"{', '.join(names[:3])}: no completion holds any text: all {self.used:,} are empty."
                " Name the column that holds them with"
                f" {columns_option(names[0], {'completion': 'NAME'})}; {IDS}."
            )
        if self.largest < 2 and self.reject:  # it may be what keeps the groups from being whole
            raise InputError(
                f"{_said(self.reject)}; {self.rows - self.used} of the {self.rows} rows cannot be used, and of the"
                " others no group has two completions or more. Mend the log first; if the grouping is wrong, name the"
                f" column of the group with {columns_option(names[0], {'group': 'NAME'})}."
            )
        if self.largest < 2:
            raise InputError(
                f"{', '.join(names[:3])}: no group has two completions or more, so nothing is shared; rows were grouped"
                f" by {key}. If that is wrong, name the column of the group with"
                f" {columns_option(names[0], {'group': 'NAME'})}."
            )


def _without_units(table: pl.DataFrame) -> int:
    """How many completions have no unit in the loss."""
    in_loss = pl.coalesce(pl.col("mask").list.sum(), pl.col("tokens").list.len())
    return table.select((in_loss == 0).sum()).item()


def _said(reject: dict[str, Any]) -> str:
    """Where a rejected row stands, and why it was."""
    field = f": {reject['field']}" if reject["field"] else ""
    return f"{location(reject['file'], reject['line'])}{field}: {reject['reason']}"
