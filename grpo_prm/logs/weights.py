"""Weights of reward functions, solved for from logged advantages.

Inside a group an advantage is the weighted sum minus its mean, divided by something: by nothing, by one number for the
whole batch, or by one for each group. So in the whole log, in each batch or in each group the centred sum is parallel
to the advantages, and the weights are those for which least is left over beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .scaling import EPSILONS, SMALLEST, Floats, Ints, deviation, matching_scaling, mean, normalized

_DEPENDENT = 1e-5  # left of a column of length 1 beside the ones before it: it is a sum of them
_APART = 1e-2  # left over by the second best weights; below it the advantages do not tell the two apart
_PARSIMONY = (3e-2, 1e-4, 0.0)  # columns that add less than this share of the largest are left out if that fits, too
_DIGITS = (2, 3, 4, 6)  # 0.5 comes out as 0.5
_BITS = 10  # that one number says which agrees to 1e-3
_ENOUGH = 20  # bits of all rows beyond those that the weights themselves take: noise fits by chance once in a million
_CHECKED = 10  # bits of different rows beyond those: one number at least that the weights were not made for
_FACTOR = 1e-2  # least weight: below it a constant beside the deviation could be anything
_COUNTED = 20_000  # rows in which bits are counted


class Fit(NamedTuple):
    """Weights that give the logged advantages.

    Attributes:
        weights: One per function.
        scaling: How (`SCALINGS`).
        unknown: Functions whose weight the advantages do not tell: constant in every group, or a sum of others there.
    """

    weights: list[float]
    scaling: str
    unknown: list[int]


def fit_weights(rewards: Floats, advantages: Floats, groups: Ints, batches: Ints) -> Fit | None:
    """Solve for the weights of the reward functions.

    Args:
        rewards: What each reward function gave, shape (completions, functions); NaN where it gave nothing.
        advantages: As logged, shape (completions,); NaN where none is logged: such a group is left out.
        groups: Group of each completion, dense from 0.
        batches: Generation batch of each completion, dense from 0.

    Returns:
        The weights, rounded to as few digits as are right. Advantages that are divided tell the ratios of the weights;
        then the largest is 1 or -1, if the small constant in the divisor does not tell more. None if no weights
        reproduce the advantages, if several do, or if so few rows would fit noise as well.
    """
    whole = (np.bincount(groups, ~np.isfinite(advantages)) == 0)[groups]
    if not whole.any() or not rewards.shape[1]:
        return None
    given, logged = rewards[whole], advantages[whole]
    group, batch = _dense(groups[whole]), _dense(batches[whole])
    filled = np.nan_to_num(given)
    centred = filled - mean(filled, group)[group]
    told = _independent(centred, np.abs(filled).max(axis=0, initial=0))
    if not told:
        return None
    unknown = [n for n in range(rewards.shape[1]) if n not in told]
    # The largest weight is 1 where only ratios are told, so of two ways that fit the plainer weights come first.
    for scaling, columns, by in (
        ("batch", centred, batch),
        ("group", centred, group),
        ("population", centred, group),
        ("none", centred, np.zeros_like(group)),
        ("normalize_then_sum", normalized(given, group), batch),
    ):
        given_away = 2 if by is group else 1  # of each group, its mean and what it is divided by
        free = _BITS * (len(told) - (scaling != "none"))
        if (
            _bits(logged, group, given_away) - free < _ENOUGH
            or _bits(logged, group, given_away, filled) - free < _CHECKED
        ):
            continue
        for candidate in _candidates(columns[:, told], filled[:, told], logged, by, scaling):
            weights = np.zeros(rewards.shape[1])
            weights[told] = candidate
            if not matching_scaling(rewards, weights.tolist(), advantages, groups, batches, (scaling,)):
                continue
            for digits in _DIGITS:
                rounded = [float(f"{w:.{digits}g}") for w in weights]
                if matching_scaling(rewards, rounded, advantages, groups, batches, (scaling,)):
                    return Fit(rounded, scaling, unknown)
    return None


def alone(rewards: Floats, advantages: Floats, groups: Ints, batches: Ints) -> tuple[int, str] | None:
    """The first function that gives the logged advantages by itself, and how; None where noise could, too."""
    # Advantages of noise differ from row to row, also where the rewards are equal: all rows of a group say something.
    if _bits(np.nan_to_num(advantages), groups, 2) < _ENOUGH:
        return None
    for n in range(rewards.shape[1]):
        if scaling := matching_scaling(rewards[:, [n]], [1.0], advantages, groups, batches):
            return n, scaling
    return None


def constant(rewards: Floats, groups: Ints) -> list[int]:
    """Functions that give all completions of a group the same, in every group: advantages do not tell their weight."""
    filled = np.nan_to_num(rewards)
    varies = np.abs(filled - mean(filled, groups)[groups]).max(axis=0) > 1e-9 * np.abs(filled).max(axis=0)
    return np.flatnonzero(~varies).tolist()


def _candidates(columns: Floats, filled: Floats, advantages: Floats, by: Ints, scaling: str) -> Iterator[Floats]:
    """Weights under which the centred sum is parallel to the advantages in each part of `by`; few of them first."""
    sizes = np.linalg.norm(columns, axis=0)
    if not sizes.all():  # a function that is null once in every group is 0 throughout where it is normalized
        return
    solve = _least_squares if scaling == "none" else _direction
    solved = solve(columns / sizes, advantages, by)
    if solved is None:
        return
    for share in _PARSIMONY:
        kept = np.abs(solved) >= share * np.abs(solved).max()
        again = solved if kept.all() else solve(columns[:, kept] / sizes[kept], advantages, by)
        if again is None:
            continue
        weights = np.zeros(len(sizes))
        weights[kept] = again / sizes[kept]
        if scaling == "none":
            yield weights
            continue
        weights /= np.abs(weights).max()
        yield weights
        spread = deviation(filled @ weights, by)
        if scaling == "population":
            spread *= np.sqrt(1 - 1 / np.bincount(by))
        if (factor := _factor(columns @ weights, spread, advantages, by)) >= _FACTOR:
            yield weights * factor


def _least_squares(columns: Floats, advantages: Floats, _: Ints) -> Floats:
    return np.linalg.lstsq(columns, advantages)[0].astype(np.float64)


def _direction(columns: Floats, advantages: Floats, by: Ints) -> Floats | None:
    """Of all sums of columns of length 1 the one with least left beside the advantages; None if another has as little.

    What is left of each column when its part along the advantages of its part of the log is taken away gives a matrix
    of (functions, functions), however long the log: of the smallest eigenvalue is the sum that is parallel.
    """
    along = np.stack([np.bincount(by, column * advantages) for column in columns.T], axis=1)
    size = np.bincount(by, advantages**2)
    # A part whose advantages are all 0 has no direction: there the whole column must vanish.
    slope = np.divide(along, size[:, None], out=np.zeros_like(along), where=size[:, None] > SMALLEST**2)
    rest = columns - slope[by] * advantages[:, None]
    values, vectors = np.linalg.eigh(rest.T @ rest)
    if len(values) > 1 and values[1] < _APART**2:
        return None
    return vectors[:, 0] * (1 if (columns @ vectors[:, 0]) @ advantages >= 0 else -1)


def _factor(centred: Floats, spread: Floats, advantages: Floats, by: Ints) -> float:
    """By what weights must grow for the constant beside the deviation to be that of TRL; 0 where that is not told."""
    share, size = np.bincount(by, centred**2), np.bincount(by, centred * advantages)
    divisor = np.divide(share, size, out=np.zeros_like(size), where=size > SMALLEST**2)
    added = (divisor - spread)[divisor > 0]
    constant = float(np.median(added)) if len(added) else 0.0
    return EPSILONS[0] / constant if constant > 0 else 0.0


def _independent(centred: Floats, largest: Floats) -> list[int]:
    """Columns that vary in a group, and not as a sum of the ones before them."""
    basis: list[Floats] = []
    kept = []
    for n, column in enumerate(centred.T):
        length = np.linalg.norm(column)
        if length <= 1e-9 * largest[n] * np.sqrt(len(column)):
            continue
        rest = column / length
        for one in basis:
            rest = rest - (one @ rest) * one
        if (left := np.linalg.norm(rest)) > _DEPENDENT:
            basis.append(rest / left)
            kept.append(n)
    return kept


def _bits(advantages: Floats, groups: Ints, given: int, filled: Floats | None = None) -> int:
    """How much it says if advantages come out: a sign for each group that varies, and a number for each that is free.

    Of d rows of a group d - `given` are free; with `filled` of rows that differ.
    """
    groups, advantages = groups[:_COUNTED], advantages[:_COUNTED]
    varies = np.bincount(groups, np.abs(advantages) >= SMALLEST) > 0
    if filled is not None:
        groups = np.unique(np.column_stack([groups, filled[:_COUNTED]]), axis=0)[:, 0].astype(np.int64)
    free = np.maximum(np.bincount(groups, minlength=len(varies)) - given, 0)
    return int((1 + _BITS * free)[varies].sum())


def _dense(values: Ints) -> Ints:
    return np.unique(values, return_inverse=True)[1]
