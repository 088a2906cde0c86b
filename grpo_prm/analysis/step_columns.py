"""The process steps table: the range, the size and the values of every process set."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..core.decisions import Decisions
from ..core.defects import local_advantages
from ..core.forest import Floats, depths
from ..core.groups import Groups
from ..core.permutations import Bounds
from ..core.prm import sign_split_sums
from .columns import column


def steps_table(names: pl.DataFrame, groups: Groups, bounds: Bounds | None, decided: Decisions) -> pl.DataFrame:
    """One row per process step, in tree order.

    Args:
        names: `run`, `step`, `group`, `group_key` of each group.
        groups: The groups.
        bounds: `certainty_bounds` of their rewards; None without rewards.
        decided: `decisions` of the groups.
    """
    forest, seen = groups.forest, groups.seen
    root = np.flatnonzero(forest.parent < 0)
    # In the table a step's parent and first member are counted from the start of its own group.
    opens = np.repeat(root, np.diff(root, append=len(forest.parent)))
    plus, minus = _step_split(groups)
    columns = {
        "parent": np.where(forest.parent < 0, -1, forest.parent - opens),
        "first": forest.first - forest.first[opens],
        "size": forest.size,
        "start": forest.start,
        "end": forest.end,
        "depth": depths(forest),
        "k": forest.k,
        "tokens": np.bincount(seen.step, seen.tokens, len(forest.size)).astype(np.int64),
        "unique": seen.unique,
        "reward": None if groups.rewards is None else groups.set_rewards,
        "advantage": groups.set_advantages,
        "local_advantage": local_advantages(groups),
        "decision_p": _of_decisions(decided.p, decided, len(forest.size)),
        "decision_least_p": _of_decisions(decided.least, decided, len(forest.size)),
        "s_plus": plus,
        "s_minus": minus,
        # Infinite bounds are those of groups of equal rewards, whose interval has no width.
        "half_width": None if bounds is None else np.where(np.isinf(bounds.student), 0, bounds.student),
        "zero_variance": groups.zero[forest.group],
    }
    named = names[forest.group, ["run", "step", "group", "group_key"]]
    return named.hstack([column(name, values, len(forest.size)) for name, values in columns.items()])


def _of_decisions(values: Floats, decided: Decisions, steps: int) -> Floats:
    """A value of the decisions as one of all steps, NaN where the step is none."""
    column = np.full(steps, np.nan)
    column[decided.step] = values
    return column


def _step_split(groups: Groups) -> tuple[Floats, Floats]:
    """Sign-split sums of each step, NaN where it has no loss token.

    With a mask, where they may differ from one position to the next, their mean over positions with a loss token.
    """
    split, unique = sign_split_sums(groups.forest, groups.advantages, mask=groups.mask), groups.seen.unique
    plus, minus = split.plus, split.minus
    if groups.mask is not None:
        step = np.repeat(np.arange(len(unique)), groups.forest.length)
        plus, minus = (np.bincount(step, sums, len(unique)) / np.maximum(unique, 1) for sums in (plus, minus))
    return np.where(unique > 0, plus, np.nan), np.where(unique > 0, minus, np.nan)
