"""The reward as a weighted sum of reward functions: how a user writes it, and how logged advantages tell the weights.

TRL logs what each reward function gave and the advantage, but neither the weights nor the sum. It makes advantages of
rewards in one of four ways (`SCALINGS`). So a guess at the weights can be checked: make the advantages from it in all
four ways and compare them with the logged ones. And the weights can be solved for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
# Values of `scale_rewards` and `multi_objective_aggregation` in TRL's GRPOConfig. The first that fits is the answer, so
# the default comes first.
SCALINGS = ("group", "none", "batch", "normalize_then_sum")
EPS = 1e-4  # TRL adds it to the standard deviation
NOISE = 1e-6  # a fitted weight below it counts as 0
TOLERANCE = 1e-3  # by which a logged advantage may be off; relative to those above 1

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NAME = r"`[^`]+`|\"[^\"]+\"|'[^']+'|[^\W\d][\w./:@]*"
# A sign, a number before or after the name (both is refused below), and then the next sign or the end.
_TERM = re.compile(rf"\s*([+-]?)\s*(?:({_NUMBER})\s*\*\s*)?({_NAME})(?:\s*\*\s*({_NUMBER}))?\s*(?=[+-]|$)")


def parse_weights(expression: str) -> dict[str, float]:
    """Read a reward as a weighted sum of columns.

    Args:
        expression: `NAME`, `"short+0.5*has_e"`, `"a - 2*b.c"`. A name with other characters than letters, digits and
            `_ . / : @` stands in backticks or quotes.

    Returns:
        Column to weight, in the order of the expression; a column that is named twice has the sum.

    Raises:
        UsageError: It is something else. Nothing is ever evaluated.
    """
    weights: dict[str, float] = {}
    at = 0
    while at < len(expression) or not weights:
        term = _TERM.match(expression, at)
        # Every term but the first needs its sign, and one number is enough.
        if term is None or (weights and not term[1]) or (term[2] and term[4]):
            raise UsageError(
                f"--reward {expression}: not a sum of columns, at {expression[at:].strip()[:40]!r}."
                ' Write it like "short+0.5*has_e", and odd names in backticks.'
            )
        sign, name = (-1.0 if term[1] == "-" else 1.0), term[3].strip("`\"'")
        weights[name] = weights.get(name, 0.0) + sign * float(term[2] or term[4] or 1)
        if not math.isfinite(weights[name]):
            raise UsageError(f"--reward {expression}: the weight of {name} is infinite. Give a smaller one.")
        at = term.end()
    return weights


def write_weights(weights: Mapping[str, float]) -> str:
    """Write weights as the expression that `parse_weights` reads back; names of weight 0 are left out."""
    terms: list[str] = []
    for name, weight in ((name, weight) for name, weight in weights.items() if weight):
        bare = name if re.fullmatch(_NAME, name) else f'"{name}"' if "`" in name else f"`{name}`"
        size = "" if abs(weight) == 1 else f"{abs(weight):.6g}*"
        terms.append(f"{'-' if weight < 0 else '+' if terms else ''}{size}{bare}")
    return "".join(terms)


def matching_scaling(
    rewards: Floats, weights: Sequence[float], advantages: Floats, groups: Ints, batches: Ints
) -> str | None:
    """Find the scaling of TRL that turns a weighted sum of rewards into the logged advantages.

    Args:
        rewards: What each reward function gave, shape (completions, functions); NaN where it gave nothing.
        weights: One per function.
        advantages: As logged, shape (completions,); NaN where none is logged.
        groups: Group of each completion, dense from 0.
        batches: Generation batch of each completion, dense from 0.

    Returns:
        The first of `SCALINGS` that reproduces every logged advantage to 1e-3; None if none does, or if no advantage
        is logged.
    """
    known = np.isfinite(advantages)
    if not known.any():
        return None
    limit = TOLERANCE * np.maximum(1.0, np.abs(advantages[known]))
    for scaling in SCALINGS:
        computed = _advantages(rewards, np.asarray(weights, np.float64), groups, batches, scaling)
        if (np.abs(computed - advantages)[known] <= limit).all():
            return scaling
    return None


def fit_weights(rewards: Floats, advantages: Floats, groups: Ints, batches: Ints) -> list[float] | None:
    """Solve for the weights of the reward functions.

    Inside a group an advantage is the weighted sum minus its mean, times a factor. Under the scalings `none` and
    `batch` the factor is the same for all groups, so least squares gives the weights. Under `group` each group has a
    factor of its own; then the weights are those whose centred sum is parallel to the advantages in every group.
    `normalize_then_sum` is not solved for.

    Args:
        rewards: As for `matching_scaling`.
        advantages: As for `matching_scaling`.
        groups: As for `matching_scaling`.
        batches: As for `matching_scaling`.

    Returns:
        One weight per function, rounded to 4 digits so that 0.5 comes out as 0.5. Where the advantages tell the ratios
        of the weights only, the largest is 1 or -1. None if an advantage is not logged, or if no weights reproduce the
        advantages.
    """
    known = np.isfinite(advantages)
    centred = np.nan_to_num(rewards)
    centred = centred - _mean(centred, groups)[groups]
    varies = np.abs(centred).max(axis=0, initial=0) > 0
    if not known.all() or not varies.any():
        return None
    # The last right singular vector is the one with the smallest singular value: of all sums of the columns the one
    # with the least left over beside the advantages. Its sign is free, so it is chosen to go up with them.
    across = _across(centred[:, varies], advantages, groups)
    direction = np.linalg.svd(across)[2][-1]
    direction *= 1 if (centred[:, varies] @ direction) @ advantages >= 0 else -1
    exact = np.linalg.lstsq(centred[:, varies], advantages)[0]
    # `batch` divides by a deviation that is not logged, so its least squares are right but for a factor: scaled to a
    # largest weight of 1 they are tried before the unscaled ones, which only `none` can need.
    for candidate in (direction / np.abs(direction).max(), exact / (np.abs(exact).max() or 1), exact):
        weights = np.zeros(rewards.shape[1])
        weights[varies] = [float(f"{w:.4g}") if abs(w) > NOISE else 0.0 for w in candidate]
        if matching_scaling(rewards, weights.tolist(), advantages, groups, batches):  # rounded, and still right?
            return weights.tolist()
    return None


def _across(centred: Floats, advantages: Floats, groups: Ints) -> Floats:
    """Products of what is left of each column when its part along the advantages of its group is taken away.

    Shape (functions, functions), however long the log. A sum of the columns that this matrix takes to 0 is parallel to
    the advantages in every group.
    """
    along = np.stack([np.bincount(groups, column * advantages) for column in centred.T], axis=1)
    size = np.bincount(groups, advantages**2)
    # A group whose advantages are all 0 has no direction: there the whole column must vanish.
    slope = np.divide(along, size[:, None], out=np.zeros_like(along), where=size[:, None] > 1e-12)
    rest = centred - slope[groups] * advantages[:, None]
    return rest.T @ rest


def _advantages(rewards: Floats, weights: Floats, groups: Ints, batches: Ints, scaling: str) -> Floats:
    """Advantages as TRL makes them of rewards."""
    if scaling == "normalize_then_sum":
        # Each function is normalised in its group before the sum, and the sum once more over the batch.
        centred = rewards - _mean(rewards, groups)[groups]
        total = np.nansum(centred / (_std(rewards, groups) + EPS)[groups] * weights, axis=1)
        return (total - _mean(total, batches)[batches]) / (_std(total, batches) + EPS)[batches]
    total = np.nansum(rewards * weights, axis=1)  # what is missing adds nothing, as in TRL
    centred = total - _mean(total, groups)[groups]
    if scaling == "none":
        return centred
    by = groups if scaling == "group" else batches
    return centred / (_std(total, by) + EPS)[by]


def _mean(values: Floats, by: Ints) -> Floats:
    """Mean of what is not NaN, per group."""
    given = np.isfinite(values)
    return _add(np.where(given, values, 0.0), by) / np.maximum(_add(given.astype(np.float64), by), 1)


def _std(values: Floats, by: Ints) -> Floats:
    """Sample standard deviation of what is not NaN, per group; 0 for one value."""
    given = np.isfinite(values)
    off = np.where(given, values - _mean(values, by)[by], 0.0)
    return np.sqrt(_add(off**2, by) / np.maximum(_add(given.astype(np.float64), by) - 1, 1))


def _add(values: Floats, by: Ints) -> Floats:
    """Sum per group, of columns too."""
    total = np.zeros((int(by.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(total, by, values)
    return total
