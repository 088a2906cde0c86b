"""The groups table: sums of each group, of which every statistic is a ratio."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.credit import credit_sums
from ..core.defects import defect_sums
from ..core.examples import clarity
from ..core.exchange import exchangeable
from ..core.forest import Floats, Ints
from ..core.groups import Groups
from ..core.overlap import CompletionOverlap, group_overlap
from ..core.permutations import Bounds
from ..core.prm import EPS, Std, group_means
from ..core.reliability import texts_once_sums
from ..logs.rollouts import groups_of_several_prompts
from ..logs.scaling import TOLERANCE
from .columns import column
from .tool_output import unmasked_tool_output


def groups_table(
    table: pl.DataFrame,
    names: pl.DataFrame,
    groups: Groups,
    each: CompletionOverlap,
    bounds: Bounds | None,
    computed: Floats,
    std: Std | None,
    added: Mapping[str, np.ndarray | pl.Series | None],
) -> pl.DataFrame:
    """One row per group.

    Args:
        table: Canonical rollouts.
        names: The groups with the columns by which they and their clusters are known.
        groups: The groups, in the order of the table.
        each: `completion_overlap` of their forest.
        bounds: `certainty_bounds` of their rewards; None without rewards.
        computed: Advantages that the rewards give, beside logged ones, shape (completions,); NaN without.
        std: Divisor of the advantages; None where they are logged.
        added: Further columns, None for one that is null throughout.
    """
    forest, seen, of_row, number = groups.forest, groups.seen, groups.groups, groups.number
    overlap = group_overlap(forest, seen, each, of_row, number)
    k, credit = np.bincount(of_row), credit_sums(groups)
    columns = {
        "k": k,
        "tokens": np.bincount(of_row, seen.completion).astype(np.int64),
        "reward_mean": None if groups.rewards is None else group_means(groups.rewards, groups.groups),
        "reward_std": None if groups.rewards is None else _std(groups, groups.rewards, k),
        "zero_variance": groups.zero,
        "exchangeable": _exchangeable(groups),
        "non_trivial": overlap.intermediate_steps > 0,
        **overlap._asdict(),
        "duplicates": duplicates(groups),
        "prompts_differ": groups_of_several_prompts(table),
        "tool_output": unmasked_tool_output(table),
        "completions_with_loss": np.bincount(of_row, seen.completion > 0).astype(np.int64),
        "certain_wilson": None if bounds is None else _certain(groups, bounds.wilson),
        "certain_student": None if bounds is None else _certain(groups, bounds.student),
        "advantage_mismatch": _mismatch(table, groups, computed),
        **defect_sums(groups),
        **credit,
        **texts_once_sums(groups, {name: credit[name] for name in ("squared_sum", "reliable_sum")}, std),
        "clarity": clarity(groups),
        **added,
    }
    named = names["run", "step", "group", "group_key", "prompt_key", "problem", "task"]
    return named.hstack([column(name, values, number) for name, values in columns.items()])


def _exchangeable(groups: Groups) -> NDArray[np.bool_]:
    """Groups whose rewards differ, or with logged advantages, in which a permutation changes something."""
    changes = exchangeable(groups.forest, groups.advantages)
    if groups.logged and groups.rewards is not None:  # then both are permuted, each for numbers of its own
        changes |= exchangeable(groups.forest, groups.rewards)
    return changes


def _std(groups: Groups, values: Floats, k: Ints) -> Floats:
    mean = group_means(values, groups.groups)
    squares = np.bincount(groups.groups, (values - mean[groups.groups]) ** 2)
    return np.sqrt(squares / (k - 1))


def duplicates(groups: Groups) -> Ints:
    """Completions of each group that are equal to an earlier one: those that end where another has ended."""
    step, row, ends = groups.seen.step, groups.seen.row, groups.forest.end
    # A completion ends in a step if it is as long as the step reaches: all that end there are one text.
    here = groups.lengths[row] == ends[step]
    ending = np.bincount(step[here], minlength=len(ends))
    return np.bincount(groups.forest.group, np.maximum(ending - 1, 0), groups.number).astype(np.int64)


def _certain(groups: Groups, bound: Floats) -> Ints:
    """Intermediate tokens of each group whose step-reward interval leaves the group's mean outside."""
    assert groups.rewards is not None
    forest, seen = groups.forest, groups.seen
    # The bound is infinite where all rewards of the group are equal: none of its steps is certain.
    away = np.abs(groups.set_rewards - group_means(groups.rewards, groups.groups)[forest.group])
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size))
    return np.bincount(forest.group, tokens * (forest.intermediate & (away > bound)), groups.number)


def _mismatch(table: pl.DataFrame, groups: Groups, computed: Floats) -> pl.Series:
    """True for groups whose logged advantages are not the computed ones to 1e-3; null where one of them is missing.

    A constant smaller than ours beside the deviation, as other trainers add it, is no difference.
    """
    logged = table["advantage"].to_numpy()  # NaN where none was logged
    # A logged one may be as large as ours without the constant: what lies between the two is no gap.
    outside = np.abs(logged) - np.abs(computed) * _without_eps(groups, computed)[groups.groups]
    gap = np.where(
        logged * computed > 0, np.maximum(np.abs(computed) - np.abs(logged), outside), np.abs(logged - computed)
    )
    off = np.bincount(groups.groups, gap > TOLERANCE * np.maximum(1.0, np.abs(logged)), groups.number) > 0
    whole = np.bincount(groups.groups, np.isnan(logged - computed), groups.number) == 0
    return pl.Series(off).set(pl.Series(~whole), None)


def _without_eps(groups: Groups, computed: Floats) -> Floats:
    """By what the advantages of each group grow if nothing is added to the deviation, shape (groups,); 1 or more."""
    if groups.rewards is None:
        return np.ones(groups.number)
    most, spread = np.zeros((2, groups.number))
    np.maximum.at(most, groups.groups, np.nan_to_num(np.abs(computed)))
    np.maximum.at(
        spread, groups.groups, np.abs(groups.rewards - group_means(groups.rewards, groups.groups)[groups.groups])
    )
    # max|r - mean| / max|a| is the deviation plus EPS, whichever deviation the advantages were divided by.
    added = np.divide(EPS * most, spread, out=np.zeros(groups.number), where=spread > 0)
    return 1 / (1 - np.minimum(added, 0.999))
