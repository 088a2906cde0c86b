"""How sure a step reward differs from its group's mean: its interval, and the level up to which it does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.forest import Floats, Forest
from ..core.groups import Groups
from ..core.interval import wilson
from ..core.permutations import certainty_bounds
from ..core.prm import beyond, zero_tolerance


class Certainty(NamedTuple):
    """Of every step, shape (steps,) each.

    Attributes:
        low, high: 95 % interval of R(λ) as in `process_steps.parquet` (definitions: Certain share): Wilson if the log
            has exactly two rewards, else Student with the deviation of the group; in the unit of the reward.
        certainty: The highest level, in [0, 1], at which that interval leaves mean(r) outside; one minus the two-sided
            p-value of R(λ) = mean(r). 0 where R(λ) is the mean, so at every root and in groups of zero variance.
    """

    low: Floats
    high: Floats
    certainty: Floats


def certainties(measured: Groups, two: tuple[float, float] | None) -> Certainty:
    """Interval and certainty of every step reward; NaN without rewards.

    Args:
        measured: Groups whose rewards, if there are any, are finite.
        two: The two rewards of the log, the lower first; None if it has not exactly two.
    """
    forest, rewards, groups, reward = measured.forest, measured.rewards, measured.groups, measured.set_rewards
    if rewards is None:
        return Certainty(reward, reward, reward)
    k = np.bincount(groups)
    mean = np.bincount(groups, rewards) / k
    # Rounding must not be certain: a root's R is its group's mean, but not to the last bit.
    away = np.abs(beyond(zero_tolerance(rewards, groups)[forest.group], reward - mean[forest.group]))
    away[measured.zero[forest.group]] = 0.0
    if two is not None:
        return _binary(forest, reward, mean[forest.group], away, two)
    half = certainty_bounds(forest, rewards, groups).student
    half[np.isinf(half)] = 0.0  # of equal rewards, which have no deviation: R alone
    deviation = np.sqrt(np.bincount(groups, (rewards - mean[groups]) ** 2) / np.maximum(k - 1, 1))
    return Certainty(reward - half, reward + half, _student(away, deviation[forest.group], forest))


def _binary(forest: Forest, reward: Floats, mean: Floats, away: Floats, two: tuple[float, float]) -> Certainty:
    """The Wilson interval is the set of means that the score test does not reject."""
    from scipy.special import erf

    bottom, span = two[0], two[1] - two[0]
    # Rewards on a scale from 0 to 1; the mean of several need not lie inside it to the last bit.
    low, high = wilson(np.clip((reward - bottom) / span, 0.0, 1.0) * forest.size, forest.size)
    share = np.clip((mean - bottom) / span, 0.0, 1.0)
    error = np.sqrt(share * (1 - share) / forest.size)  # of the group's mean, as the score test has it
    z = np.divide(away / span, error, out=np.zeros(len(away)), where=(away > 0) & (error > 0))
    return Certainty(low * span + bottom, high * span + bottom, erf(z / np.sqrt(2)))


def _student(away: Floats, deviation: Floats, forest: Forest) -> Floats:
    from scipy.special import stdtr

    t = np.divide(away * np.sqrt(forest.size), deviation, out=np.zeros(len(away)), where=away > 0)
    return 2 * stdtr(np.maximum(forest.k - 1, 1).astype(float), t) - 1
