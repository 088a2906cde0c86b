"""What the outcome reward is made of: the weighted sum that a user writes, and the check against logged advantages.

Trainers log the parts of a reward and the advantage, but neither weights nor total. Advantages tell: there are only
four ways in which TRL makes them of the parts (`SCALINGS`), so a wrong sum shows, and the right weights can be found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..errors import UsageError

Floats = NDArray[np.float64]
Ints = NDArray[np.integer]
SCALINGS = ("group", "none", "batch", "normalize_then_sum")
EPS = 1e-4  # TRL adds it to the standard deviation
NOISE = 1e-6  # a fitted weight below it is none
TOLERANCE = 1e-3  # of an advantage, relative where it is above 1

_NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_NAME = r"`[^`]+`|\"[^\"]+\"|'[^']+'|[^\W\d][\w./:@]*"
_TERM = re.compile(rf"\s*([+-]?)\s*(?:({_NUMBER})\s*\*\s*)?({_NAME})(?:\s*\*\s*({_NUMBER}))?\s*(?=[+-]|$)")


def parse(expression: str) -> dict[str, float]:
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


def write(weights: Mapping[str, float]) -> str:
    """Write weights as the expression that `parse` reads back; names of weight 0 are left out."""
    terms: list[str] = []
    for name, weight in ((name, weight) for name, weight in weights.items() if weight):
        bare = name if re.fullmatch(_NAME, name) else f'"{name}"' if "`" in name else f"`{name}`"
        size = "" if abs(weight) == 1 else f"{abs(weight):.6g}*"
        terms.append(f"{'-' if weight < 0 else '+' if terms else ''}{size}{bare}")
    return "".join(terms)


def combine(table: pl.DataFrame, weights: Mapping[str, float]) -> pl.Series:
    """Add up columns.

    Args:
        table: Numeric or boolean columns of the names in `weights`.
        weights: Column to weight.

    Returns:
        float64, shape (rows,): a null or NaN part adds nothing, as in TRL; null where all of them are.
    """
    parts = [pl.col(name).cast(pl.Float64).fill_nan(None) for name in weights]
    total = pl.sum_horizontal(part * weight for part, weight in zip(parts, weights.values(), strict=True))
    empty = pl.all_horizontal(part.is_null() for part in parts)
    return table.select(pl.when(empty).then(None).otherwise(total).alias("reward")).to_series()


def explain(parts: Floats, weights: Sequence[float], advantages: Floats, groups: Ints, batches: Ints) -> str | None:
    """Say which of TRL's scalings makes the logged advantages of a weighted sum of rewards.

    Args:
        parts: Named rewards, shape (completions, names); NaN where a function gave none.
        weights: One per name.
        advantages: As logged, shape (completions,); NaN where none is.
        groups: Group of each completion, dense from 0.
        batches: Generation batch of each completion, dense from 0.

    Returns:
        The first of `SCALINGS` that is off by 1e-3 nowhere; None if none is, or nothing is logged.
    """
    known = np.isfinite(advantages)
    if not known.any():
        return None
    limit = TOLERANCE * np.maximum(1.0, np.abs(advantages[known]))
    for scaling in SCALINGS:
        made = _scaled(parts, np.asarray(weights, np.float64), groups, batches, scaling)
        if (np.abs(made - advantages)[known] <= limit).all():
            return scaling
    return None


def fit(parts: Floats, advantages: Floats, groups: Ints, batches: Ints) -> list[float] | None:
    """Find weights that make the logged advantages.

    Inside a group the advantages are the centred sum, up to one factor: known for all groups (`none`, `batch`), which
    is least squares, or another in each (`group`), which is the direction that leaves nothing across the advantages.

    Returns:
        Weights, shape (names,), rounded to 4 digits, so that 0.5 is 0.5; the largest is 1 or -1 where only their ratios
        show. None if no weights make the advantages.
    """
    known = np.isfinite(advantages)
    centred = np.nan_to_num(parts)
    centred = centred - _mean(centred, groups)[groups]
    varies = np.abs(centred).max(axis=0, initial=0) > 0
    if not known.all() or not varies.any():
        return None
    across = _across(centred[:, varies], advantages, groups)
    direction = np.linalg.svd(across)[2][-1]
    direction *= 1 if (centred[:, varies] @ direction) @ advantages >= 0 else -1
    exact = np.linalg.lstsq(centred[:, varies], advantages)[0]
    for found in (direction / np.abs(direction).max(), exact / (np.abs(exact).max() or 1), exact):
        weights = np.zeros(parts.shape[1])
        weights[varies] = [float(f"{w:.4g}") if abs(w) > NOISE else 0.0 for w in found]
        if explain(parts, weights.tolist(), advantages, groups, batches):
            return weights.tolist()
    return None


def _across(centred: Floats, advantages: Floats, groups: Ints) -> Floats:
    """What of each column is not along the advantages of its group, as a small matrix with the same null space."""
    along = np.stack([np.bincount(groups, column * advantages) for column in centred.T], axis=1)
    size = np.bincount(groups, advantages**2)
    share = np.divide(along, size[:, None], out=np.zeros_like(along), where=size[:, None] > 1e-12)
    rest = centred - share[groups] * advantages[:, None]
    return rest.T @ rest


def _scaled(parts: Floats, weights: Floats, groups: Ints, batches: Ints, scaling: str) -> Floats:
    """Advantages as TRL makes them of rewards."""
    if scaling == "normalize_then_sum":
        centred = parts - _mean(parts, groups)[groups]
        total = np.nansum(centred / (_std(parts, groups) + EPS)[groups] * weights, axis=1)
        return (total - _mean(total, batches)[batches]) / (_std(total, batches) + EPS)[batches]
    total = np.nansum(parts * weights, axis=1)
    centred = total - _mean(total, groups)[groups]
    if scaling == "none":
        return centred
    by = groups if scaling == "group" else batches
    return centred / (_std(total, by) + EPS)[by]


def _mean(values: Floats, by: Ints) -> Floats:
    """Mean of what is not NaN, per group."""
    there = np.isfinite(values)
    return _add(np.where(there, values, 0.0), by) / np.maximum(_add(there.astype(np.float64), by), 1)


def _std(values: Floats, by: Ints) -> Floats:
    """Sample standard deviation of what is not NaN, per group; 0 for one value."""
    there = np.isfinite(values)
    off = np.where(there, values - _mean(values, by)[by], 0.0)
    return np.sqrt(_add(off**2, by) / np.maximum(_add(there.astype(np.float64), by) - 1, 1))


def _add(values: Floats, by: Ints) -> Floats:
    total = np.zeros((int(by.max(initial=-1)) + 1, *values.shape[1:]))
    np.add.at(total, by, values)
    return total
