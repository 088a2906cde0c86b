"""The permutation null of the statistics that have one: the same ratios, of permuted sums (definitions: How sure)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.permutations import PermutedSums
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


def null_distributions(permuted: PermutedSums, fixed: Mapping[str, float], *, binary: bool) -> dict[str, Floats]:
    """The statistics of some groups under each permutation.

    Args:
        permuted: Their sums under the permutations, shape (permutations,) each.
        fixed: Their sums of `FIXED`.
        binary: Whether the log has exactly two rewards, so that the interval of certain share is Wilson's.

    Returns:
        Each of `PERMUTED`, shape (permutations,), NaN for 0/0, and everywhere where nothing can be exchanged.
    """
    if not fixed["exchangeable"]:  # every permutation would be the log itself, which no number can be judged by
        return dict.fromkeys(PERMUTED, np.full(permuted.certain_student.shape, np.nan))
    certain = permuted.certain_wilson if binary else permuted.certain_student
    sums = {**fixed, **permuted._asdict(), "certain_tokens": certain}
    # (3, names, permutations): numerators, denominators, second denominators (the first again where there is one).
    top, bottom, second = (
        np.array([np.broadcast_to(sums[columns_of(name)[place]], certain.shape) for name in PERMUTED])
        for place in (0, 1, -1)
    )
    return dict(zip(PERMUTED, ratios_of_sums(PERMUTED, top.T, bottom.T, second.T).T, strict=True))


def null_of_log(groups: pl.DataFrame, running: RunningSums) -> dict[str, Floats]:
    """`null_distributions` of a whole log.

    Args:
        groups: The groups table.
        running: With the sums under the permutations.
    """
    fixed = groups.select(fixed_sums()).row(0, named=True)
    return null_distributions(running.permuted_in_all, fixed, binary=running.binary)
