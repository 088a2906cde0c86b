"""How logged advantages were made of rewards: each way that is known is tried, and compared with the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..core.forest import Floats, Ints
from ..core.prm import Std, group_advantages

STDS: tuple[Std, ...] = ("sample", "population", "none", "batch")  # the first that fits is the answer
# Ways from several rewards to one advantage, as TRL calls them (`scale_rewards`, `multi_objective_aggregation`), and
# the divisor of each; the last normalises each function before it sums them, which no divisor of the sum does.
SCALINGS: dict[str, Std | None] = {
    "group": "sample",
    "none": "none",
    "batch": "batch",
    "population": "population",
    "normalize_then_sum": None,
}
# Added to the deviation by TRL and verl, by others, and by nobody; the last stands for 0, which cannot divide.
EPSILONS = (1e-4, 1e-6, 1e-8, 1e-12)
TOLERANCE = 1e-3  # by which a logged advantage may be off; relative to those above 1, or to the largest of them below
ROUNDED = 1e-4  # advantages may be logged with four decimals
SMALLEST = 1e-3  # a group whose advantages are all below it tells nothing


def fitting_std(
    rewards: Floats, advantages: Floats, groups: Ints, batches: Ints, stds: Iterable[Std] = STDS
) -> Std | None:
    """Find the divisor that turns rewards into the logged advantages.

    Args:
        rewards: r, shape (completions,), any unit; one that is not finite is left out of mean and deviation.
        advantages: As logged, shape (completions,); NaN where none is logged, or where it shall not be looked at.
        groups: Group of each completion, dense from 0.
        batches: What `batch` takes the deviation of: a training step; dense from 0.
        stds: Those that are tried, in this order.

    Returns:
        The first with which every logged advantage comes out to 1e-3, whatever small constant is added to the
        deviation; None if none does, or if no advantage is logged.
    """
    for std in stds:
        if any(reproduces(scaled(rewards, groups, batches, std, eps), advantages) for eps in EPSILONS):
            return std
    return None


def matching_scaling(
    rewards: Floats,
    weights: Sequence[float],
    advantages: Floats,
    groups: Ints,
    batches: Ints,
    scalings: Iterable[str] = tuple(SCALINGS),
) -> str | None:
    """Find the way that turns a weighted sum of rewards into the logged advantages.

    Args:
        rewards: What each reward function gave, shape (completions, functions); NaN where it gave nothing.
        weights: One per function.
        advantages: As logged, shape (completions,); NaN where none is logged.
        groups: Group of each completion, dense from 0.
        batches: Generation batch of each completion, dense from 0.
        scalings: Those that are tried, of `SCALINGS`.

    Returns:
        The first that reproduces every logged advantage to 1e-3; None if none does, or if no advantage is logged.
    """
    total = np.nansum(rewards * np.asarray(weights, np.float64), axis=1)  # what is missing adds nothing, as in TRL
    for scaling in scalings:
        std = SCALINGS[scaling]
        if std is not None:
            found = fitting_std(total, advantages, groups, batches, (std,)) is not None
        else:
            added = normalized(rewards, groups) @ np.asarray(weights, np.float64)
            found = reproduces(scaled(added, batches, batches, "sample", EPSILONS[0]), advantages)
        if found:
            return scaling
    return None


def normalized(rewards: Floats, groups: Ints) -> Floats:
    """What each function gave, normalised in its group, shape (completions, functions); 0 where it gave nothing."""
    centred = rewards - mean(rewards, groups)[groups]
    return np.nan_to_num(centred / (deviation(rewards, groups) + EPSILONS[0])[groups])


def reproduces(computed: Floats, advantages: Floats) -> bool:
    """Whether all logged advantages are the computed ones to 1e-3; False if none is logged.

    Args:
        computed: Shape (completions,).
        advantages: As logged, shape (completions,); NaN where none is.
    """
    known = np.isfinite(advantages)
    logged = np.abs(advantages[known])
    limit = np.maximum(TOLERANCE * np.maximum(min(1.0, logged.max(initial=0.0)), logged), ROUNDED)
    return bool(known.any() and (np.abs(computed - advantages)[known] <= limit).all())


def scaled(rewards: Floats, groups: Ints, batches: Ints, std: Std, eps: float) -> Floats:
    """Advantages of rewards by one divisor, shape (completions,); zero-variance groups get 0."""
    if std != "batch":
        return group_advantages(rewards, groups, std, eps)
    return group_advantages(rewards, groups, "none") / (deviation(rewards, batches) + eps)[batches]


def mean(values: Floats, by: Ints) -> Floats:
    """Mean of what is not NaN, of each group, of columns too."""
    given = np.isfinite(values)
    return _add(np.where(given, values, 0.0), by) / np.maximum(_add(given.astype(np.float64), by), 1)


def deviation(values: Floats, by: Ints) -> Floats:
    """Sample standard deviation of what is not NaN, of each group, of columns too; 0 of one value."""
    given = np.isfinite(values)
    off = np.where(given, values - mean(values, by)[by], 0.0)
    return np.sqrt(_add(off**2, by) / np.maximum(_add(given.astype(np.float64), by) - 1, 1))


def _add(values: Floats, by: Ints) -> Floats:
    """Sum of each group, of columns too."""
    columns = values[None] if values.ndim == 1 else values.T
    added = [np.bincount(by, column, int(by.max(initial=-1)) + 1).astype(np.float64) for column in columns]
    return added[0] if values.ndim == 1 else np.stack(added, axis=1)
