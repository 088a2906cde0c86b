"""Which divisor an analysis takes where the user named none: the one that gives the logged advantages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

import numpy as np
import polars as pl

from ..core.forest import Ints, ranges
from ..core.group_size import modal_size
from ..core.prm import Bools, Std, zero_variance
from ..logs.grouping.buckets import in_order_of_keys
from ..logs.rollouts import Rollouts, group_opens
from ..logs.scaling import SMALLEST, fitting_std

# The first groups of a log decide, in whatever batches they come: batches are kept until there are so many. All others
# are then compared (`advantage_mismatch`).
GROUPS = 64
TELLING = 16  # of groups whose rewards and logged advantages vary
_MADE: dict[Std, str] = {
    "population": "(r - mean) / population std",
    "none": "r - mean, without division",
    "batch": "(r - mean) / std of all rewards of the training step",
}


class FirstGroups:
    """Keeps the first batches of a log until their groups decide the divisor.

    Attributes:
        batches: Canonical tables of whole groups, each training step in one.
    """

    def __init__(self) -> None:
        self.batches: list[Rollouts] = []
        self._facts: list[pl.DataFrame] = []

    def add(self, batch: Rollouts) -> bool:
        """Keep one more; whether there are enough now, so that no other can decide otherwise."""
        self.batches.append(batch)
        self._facts.append(_facts(batch.table))
        return _decisive(pl.concat(self._facts))[1]

    def divisor(self) -> tuple[Std, str | None]:
        """The divisor by these batches: `sample` where that gives the logged advantages or nothing does, else the one
        that gives them; and a sentence that says so, None for `sample`.
        """
        std = (fitting(pl.concat(self._facts)) if self._facts else None) or "sample"
        return std, None if std == "sample" else f"Advantages are {_MADE[std]}, as logged: --std {std}."


def _facts(table: pl.DataFrame) -> pl.DataFrame:
    """What decides: the groups of each step in the order of their keys, whatever that of the log is."""
    opens = group_opens(table)
    order = in_order_of_keys(table[opens, ["run", "step", "group_key"]])
    rows, _ = ranges(opens[order], np.diff(opens, append=len(table))[order])
    return table.select("run", "step", "group", "reward", "advantage")[rows]


def find_divisor(batches: Iterable[Rollouts]) -> tuple[Std, str | None, Iterator[Rollouts]]:
    """Find out how a log makes advantages of rewards.

    Args:
        batches: Canonical tables of whole groups, each training step in one.

    Returns:
        What `FirstGroups.divisor` gives, and all the batches, those that were looked at once more.
    """
    source, first = iter(batches), FirstGroups()
    for batch in source:
        if first.add(batch):
            break
    return *first.divisor(), chain(first.batches, source)


def _decisive(facts: pl.DataFrame) -> tuple[Bools, bool]:
    """The rows that decide, shape (rows,), and whether there will be no others however the log goes on."""
    groups, rewards, logged = _groups(facts), facts["reward"].to_numpy(), facts["advantage"].to_numpy()
    k = np.bincount(groups)
    known = np.bincount(groups, np.isfinite(rewards + logged)) == k
    large = np.bincount(groups, np.abs(np.nan_to_num(logged)) >= SMALLEST) > 0
    telling = known & large & ~zero_variance(rewards, groups)
    counted = np.cumsum(telling)
    first = (np.arange(len(k)) < GROUPS) & (counted <= TELLING)
    # Of a group that lost rows on the way the mean is another.
    whole = k >= modal_size(k[telling & first].tolist())
    return (telling & first & whole)[groups], len(k) >= GROUPS or int(counted[-1:].sum()) >= TELLING


def fitting(facts: pl.DataFrame) -> Std | None:
    """The divisor that gives the logged advantages of some groups, None where none does or nothing tells.

    Args:
        facts: Columns `run`, `step`, `group`, `reward`, `advantage` of whole groups; rows of a group are neighbours.
    """
    rows, _ = _decisive(facts)
    logged = np.where(rows, facts["advantage"].to_numpy(), np.nan)
    steps = np.unique(facts.select(pl.struct("run", "step").hash()).to_series().to_numpy(), return_inverse=True)[1]
    return fitting_std(facts["reward"].to_numpy(), logged, _groups(facts), steps)


def _groups(facts: pl.DataFrame) -> Ints:
    """Group of each row, dense from 0; the rows of a group are neighbours."""
    return np.cumsum(np.diff(facts["group"].to_numpy(), prepend=-1) != 0) - 1
