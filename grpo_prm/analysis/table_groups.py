"""A canonical table as groups of the core: which advantages are analysed, and slices of whole groups."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints, build_forest
from ..core.groups import Groups
from ..core.prm import Bools, Std, group_advantages
from ..errors import UsageError
from ..logs.rollouts import flatten, group_opens
from .options import Options

SLICE = 1 << 22  # tokens measured at a time, which bounds the memory of a large step
# What a short completion and a step weigh in it at least: what is held for them does not grow with their tokens.
ROW, STEP = SLICE >> 15, SLICE >> 10


class Advantages(NamedTuple):
    """Advantages of rows, shape (rows,) each.

    Attributes:
        used: Those to analyse.
        computed: Those that the rewards give, NaN in groups without.
        logged: Whether `used` are logged, the same in all rows of a group.
    """

    used: Floats
    computed: Floats
    logged: Bools

    def at(self, rows: Ints | slice) -> Advantages:
        """Those of some rows."""
        return Advantages(self.used[rows], self.computed[rows], self.logged[rows])


def advantages_of(table: pl.DataFrame, options: Options) -> Advantages:
    """Advantages of whole groups of two or more, and whole steps if `std` is `batch`, before any is set to 0.

    Where a reward of a group is missing, its logged advantages are taken; of that group alone: batches change nothing.

    Raises:
        UsageError: Logged advantages are asked for, or needed since rewards are missing, but some are not there.
    """
    assert options.std is not None  # `analyze` puts in what is not given
    rewarded = with_rewards(table)
    computed = np.full(len(table), np.nan)
    computed[rewarded] = _computed(table.select("run", "step", "group", "reward").filter(rewarded), options.std)
    logged = ~rewarded if options.advantage == "computed" else np.ones(len(table), bool)
    given = table["advantage"].to_numpy()
    if np.isnan(given[logged]).any():
        raise UsageError(
            "The log has no advantage for some completions. Leave out --advantage logged (in Python: "
            'advantage="logged") to compute them from the rewards, or name the column with --columns '
            "advantage=COLUMN (in Python: ReadOptions)."
        )
    return Advantages(np.where(logged, given, computed), computed, logged)


def with_rewards(table: pl.DataFrame) -> Bools:
    """True for the rows of groups in which no reward is missing, shape (rows,); rows of a group are neighbours."""
    opens = group_opens(table)
    missing = np.isnan(table["reward"].to_numpy())
    if not missing.any() or not len(opens):
        return ~missing
    return np.repeat(~np.logical_or.reduceat(missing, opens), np.diff(opens, append=len(table)))


def _computed(table: pl.DataFrame, std: Std) -> Floats:
    groups, rewards = _dense(table["group"].to_numpy()), table["reward"].to_numpy()
    if std != "batch":
        return group_advantages(rewards, groups, std)
    advantages = np.empty(len(table))
    for rows in table.with_row_index("row").group_by("run", "step").agg("row")["row"]:
        at = rows.to_numpy()
        advantages[at] = group_advantages(rewards[at], _dense(groups[at]), std)
    return advantages


def _dense(groups: Ints) -> Ints:
    return np.unique(groups, return_inverse=True)[1]


def table_groups(table: pl.DataFrame, given: Advantages | None) -> Groups:
    """The groups of a table.

    Args:
        table: Canonical rollouts, whole groups, the rows of a group next to each other, at least one row. Where a
            reward is missing no group has rewards (`slices` cuts so that this is right).
        given: Their advantages (`advantages_of`); None: the log has none, so no step has an advantage either.

    Returns:
        The groups, numbered from 0 in the order of the table.
    """
    flat = flatten(table)
    groups = np.cumsum(np.diff(flat.groups, prepend=flat.groups[:1]) != 0)
    return Groups(
        forest=build_forest(flat.tokens, flat.lengths, groups),
        tokens=flat.tokens,
        lengths=flat.lengths,
        groups=groups,
        rewards=None if table["reward"].null_count() else table["reward"].to_numpy(),
        mask=flat.mask,
        given=None if given is None else given.used,
        logged=given is not None and bool(given.logged.any()),
    )


def without_groups_of_one(table: pl.DataFrame) -> pl.DataFrame:
    """The rows of groups of two or more; the rows of a group are neighbours."""
    size = np.diff(group_opens(table), append=len(table))
    return table[np.flatnonzero(np.repeat(size > 1, size))] if (size == 1).any() else table


def slices(table: pl.DataFrame, tokens: int) -> Iterator[tuple[int, int]]:
    """Rows [begin, end) of whole groups with about so many tokens at a time, all of them with rewards, or none.

    Where a step is cut depends on that step alone: sums of floats over its slices do not change with the batches.
    Completions that are short count for `ROW` tokens, steps that are small for `STEP`.
    """
    opens = group_opens(table)
    if not len(opens):
        return
    sizes = np.add.reduceat(table["tokens"].list.len().to_numpy().astype(np.int64), opens)
    sizes = np.maximum(sizes, ROW * np.diff(opens, append=len(table)))
    step = table[opens].select(pl.struct("run", "step").rle_id()).to_series().to_numpy().astype(np.int64)
    begins = np.flatnonzero(np.diff(step, prepend=-1))  # the first group of each step
    before = np.cumsum(sizes) - sizes
    of_step = before - before[begins][step]
    changes = np.diff(with_rewards(table)[opens].astype(np.int8), prepend=-1) != 0
    changes |= (np.diff(of_step // tokens, prepend=0) != 0) & (of_step > 0)
    # Small steps stand in one slice.
    whole = np.maximum(np.diff(before[begins], append=before[-1] + sizes[-1]), STEP)
    changes[begins[1:][np.diff((np.cumsum(whole) - whole) // tokens) != 0]] = True
    yield from pairwise(np.append(opens[np.flatnonzero(changes)], len(table)).tolist())
