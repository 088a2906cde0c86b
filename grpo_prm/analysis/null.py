"""The permutation null of the statistics that have one: the same ratios, of permuted sums (definitions: How sure)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.permutations import PermutedSums
from .chunks import Parts, added_up
from .ratios import columns_of, ratios_of_sums
from .running_sums import RunningSums
from .statistics import PERMUTED

_MOVED = {*PermutedSums._fields, "certain_tokens"}
# Sums of the groups table that no permutation changes (they depend on the trees alone), and the groups with a null.
FIXED = (*sorted({column for name in PERMUTED for column in columns_of(name)} - _MOVED), "exchangeable")


def fixed_sums() -> list[pl.Expr]:
    """Sums of `FIXED` over groups; of a statistic that not all groups have, over those that have it."""
    tops = {bottom: name for name, *bottoms in map(columns_of, PERMUTED) for bottom in bottoms if bottom not in _MOVED}
    has = {column: pl.col(tops[column]).is_not_null() for column in FIXED if column in tops}
    return [pl.col(column).filter(has.get(column, pl.lit(True))).sum() for column in FIXED]


def null_distributions(
    permuted: PermutedSums, fixed: Mapping[str, float | np.ndarray], *, binary: bool
) -> dict[str, Floats]:
    """The statistics of some groups under each permutation, or of several sets of groups (training steps, say).

    Args:
        permuted: Their sums under the permutations, shape (..., permutations) each.
        fixed: Their sums of `FIXED`, shape (...) each.
        binary: Whether the log has exactly two rewards, so that the interval of certain share is Wilson's.

    Returns:
        Each of `PERMUTED`, shape (..., permutations), NaN for 0/0, and everywhere where nothing can be exchanged.
    """
    certain = permuted.certain_wilson if binary else permuted.certain_student
    of_trees = {name: np.asarray(value, np.float64)[..., None] for name, value in fixed.items()}
    sums = {**of_trees, **permuted._asdict(), "certain_tokens": certain}
    # (..., permutations, names) each: numerators, denominators, second denominators (the first again where there is
    # one).
    top, bottom, second = (
        np.stack([np.broadcast_to(sums[columns_of(name)[place]], certain.shape) for name in PERMUTED], axis=-1)
        for place in (0, 1, -1)
    )
    values = ratios_of_sums(PERMUTED, top, bottom, second)
    # Where nothing is exchanged every permutation would be the log itself, which no number can be judged by.
    values = np.where(of_trees["exchangeable"][..., None] > 0, values, np.nan)
    return {name: values[..., place] for place, name in enumerate(PERMUTED)}


def null_of_log(groups: Parts | pl.DataFrame, running: RunningSums) -> dict[str, Floats]:
    """`null_distributions` of a whole log.

    Args:
        groups: The groups table.
        running: With the sums under the permutations.
    """
    fixed = added_up(groups, dict(zip(FIXED, fixed_sums(), strict=True)))
    return null_distributions(running.permuted_in_all, fixed, binary=running.binary)


def p_value(observed: float | None, null: Floats) -> float | None:
    """One-sided p: the share of permutations that reach the observed value; None where there is no null."""
    null = null[np.isfinite(null)]
    if observed is None or not len(null):
        return None
    reached = int((null >= observed - 1e-12 * abs(observed)).sum())  # the same counts may differ in rounding
    # The observed order is one of the permutations, so p is never 0.
    return (1 + reached) / (1 + len(null))
