"""What is added up over the batches of a log and stands in none of its tables."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from .chance import Dealt, nothing_dealt
from .rollouts import Rollouts

DISTINCT = 3  # rewards remembered: all that is asked is whether there are exactly two


@dataclass
class Totals:
    """Sums and sets over the batches of a log; dictionaries keep the order in which things came.

    Attributes:
        counts: `Rollouts.counts` and `completions_read`, `groups_of_one`.
        notes: Sentences for the user.
        files: Files read.
        formats: Formats found.
        tokens_from: Where units came from, with the number of completions.
        rewards: The first distinct rewards of groups of two or more.
        steps: (run, step) of every group, step None where none was logged.
        options: What of the reading changed numbers.
        dealt: Sums of the permutations.
    """

    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    files: dict[str, None] = field(default_factory=dict)
    formats: dict[str, None] = field(default_factory=dict)
    tokens_from: Counter[str] = field(default_factory=Counter)
    rewards: set[float] = field(default_factory=set)
    steps: set[tuple[str, int | None]] = field(default_factory=set)
    options: dict[str, object] = field(default_factory=dict)
    dealt: Dealt = field(default_factory=nothing_dealt)

    def add(self, batch: Rollouts) -> None:
        """Add what a batch says of itself."""
        self.counts.update(batch.counts)
        self.notes |= dict.fromkeys(batch.notes)
        self.files |= dict.fromkeys(getattr(batch, "files", ()))
        self.formats |= dict.fromkeys([getattr(batch, "format", "?")])
        table = batch.table.select("run", "step", "group", "reward", "tokens_from")
        self.counts["completions_read"] += len(table)
        self.steps.update(table.select("run", "step").unique().iter_rows())
        self.tokens_from.update(dict(table.group_by("tokens_from").len().iter_rows()))
        several = table.filter(pl.len().over("group") > 1)
        self.counts["groups_of_one"] += len(table) - len(several)
        if len(self.rewards) < DISTINCT:
            self.rewards.update(several["reward"].drop_nulls().unique().head(DISTINCT).to_list())

    def add_dealt(self, dealt: Dealt) -> None:
        """Add the permutations of a slice."""
        self.dealt = Dealt(*(mine + more for mine, more in zip(self.dealt, dealt, strict=True)))

    @property
    def binary(self) -> bool:
        """Has the log exactly two rewards?"""
        return len(self.rewards) == 2
