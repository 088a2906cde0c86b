"""What the implicit process reward model says of every step of a slice of the log (SPEC: The implicit PRM)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..analysis.table_groups import Advantages
from ..core.forest import Floats, Forest, Ints, build_forest
from ..core.prm import beyond, step_means, zero_tolerance, zero_variance
from ..logs.rollouts import Flat, flatten
from .certainty import Certainty, certainties


@dataclass(frozen=True, slots=True)
class Values:
    """Whole groups as a forest, with the numbers of each step.

    Attributes:
        flat: The arrays of the table.
        groups: Dense group of each completion, shape (completions,).
        forest: Its process steps.
        reward: R(λ), shape (steps,); NaN where the log has no rewards.
        advantage: A(λ), exactly 0 within the tolerance, shape (steps,).
        sure: Interval and certainty of R(λ); NaN where the log has no rewards.
        zero: Groups of zero variance, shape (groups,).
    """

    flat: Flat
    groups: Ints
    forest: Forest
    reward: Floats
    advantage: Floats
    sure: Certainty
    zero: NDArray[np.bool_]


def prm_values(
    table: pl.DataFrame, given: Advantages, rewards: Floats | None, two: tuple[float, float] | None
) -> Values:
    """Measure whole groups.

    Args:
        table: Canonical rollouts, the rows of a group next to each other, at least one row.
        given: Their advantages.
        rewards: Their rewards, shape (completions,); None where the log lacks some.
        two: The two rewards of the log, the lower first; None if it has not exactly two.
    """
    flat = flatten(table)
    groups = np.cumsum(np.diff(flat.groups, prepend=flat.groups[0]) != 0)
    forest = build_forest(flat.tokens, flat.lengths, groups)
    zero = zero_variance(given.used if rewards is None else rewards, groups)
    advantages = np.where(zero[groups], 0.0, given.used)
    tolerance = zero_tolerance(advantages, groups, logged=given.logged)
    step_advantages = step_means(forest, beyond(tolerance[groups], advantages))
    nothing = np.full(len(forest.size), np.nan)
    return Values(
        flat=flat,
        groups=groups,
        forest=forest,
        reward=nothing if rewards is None else step_means(forest, rewards),
        advantage=beyond(tolerance[forest.group], step_advantages),
        sure=Certainty(nothing, nothing, nothing) if rewards is None else certainties(forest, rewards, groups, two),
        zero=zero,
    )
