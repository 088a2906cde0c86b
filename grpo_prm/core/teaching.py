"""Groups that teach nothing, or something else than the outcome (definitions: Groups that teach nothing)."""

from __future__ import annotations

import numpy as np

from .forest import Floats, Ints, add_up
from .groups import Groups
from .prm import Bools, zero_variance


def phantom_sums(groups: Groups, outcome: Floats) -> tuple[Floats, Floats]:
    """Phantom advantage: what groups whose outcomes are all equal still give, by the other parts of the reward.

    Args:
        groups: Groups with advantages.
        outcome: The outcome part of the reward of each completion, shape (completions,); NaN where not logged.

    Returns:
        Σ |a| of each group if its outcome is constant, else 0, and Σ |a|, shape (groups,) each. The first is NaN
        for a group that lacks an outcome.
    """
    absolute = add_up(groups.groups, np.abs(groups.advantages), groups.number)
    known = add_up(groups.groups, ~np.isfinite(outcome), groups.number) == 0
    return np.where(known, absolute * zero_variance(outcome, groups.groups), np.nan), absolute


def all_of(reward_mean: Floats, k: Ints, low: float, high: float) -> tuple[Bools, Bools]:
    """Which groups of a log with two rewards have the higher one throughout, and which the lower, shape (groups,) each.

    Args:
        reward_mean: Mean reward of each group; NaN without rewards.
        k: Completions of each group.
        low: The lower of the two rewards.
        high: The higher one.
    """
    # The mean of equal floats need not equal them, but the number of the higher ones is whole.
    higher = np.rint((reward_mean - low) / (high - low) * k)
    return higher == k, higher == 0
