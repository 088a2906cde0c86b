"""How sure: resamples of clusters, Wilson and Student intervals (definitions: How sure)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .forest import Floats, Ints
from .product import product

RESAMPLES = 2000
FEW_CLUSTERS = 20  # below: no interval at all
MANY_CLUSTERS = 100  # below: the coverage of a percentile interval falls short
FEW_TO_KEEP = 512  # clusters of a training step, whose draws serve every step
BLOCKS = 2048  # clusters of a log that are resampled one by one; more are put into so many blocks
Z = 1.96
ENDS = (0.025, 0.975)  # quantiles at the ends of a 95 % range
SURE = 2  # standard errors, of 95 %


class Interval(NamedTuple):
    """A mean with its 95 % range and the number of clusters that it rests on; None where it cannot be had."""

    mean: float | None
    low: float | None
    high: float | None
    n: int


class Drawn(NamedTuple):
    """An interval, and between what another seed puts its ends (`other_draws`); None where an end is not drawn."""

    interval: Interval
    low: tuple[float, float] | None = None
    high: tuple[float, float] | None = None


def other_draws(share: float, draws: int = RESAMPLES) -> tuple[float, float]:
    """Between which shares of so many draws lies, 95 % sure, the quantile that as many other draws give.

    Of n draws the number below the true q-quantile is binomial, n q with a standard error of sqrt(n q (1 - q)),
    whatever it is that is drawn; the other draws have that error too.
    """
    reach = SURE * math.sqrt(2 * share * (1 - share) / draws)
    return share - reach, share + reach


def hangs(answer: Callable[[float | None, float | None], object], one: Drawn) -> bool:
    """May another seed put an end of a range where an answer, given by low and high, is another?"""
    (_, low, high, _), lows, highs = one
    now = answer(low, high)
    return any(answer(end, high) != now for end in lows or ()) or any(answer(low, end) != now for end in highs or ())


def block_of(ids: NDArray[np.uint64], blocks: int = BLOCKS) -> Ints:
    """Block of clusters, 0 to `blocks` - 1, a power of two, by their hashes of 64 bits, shape (clusters,)."""
    return (ids >> np.uint64(64 - blocks.bit_length() + 1)).astype(np.int64)


def cluster_sums(sums: Floats, clusters: Ints) -> Floats:
    """Add the rows of `sums`, shape (groups, columns), cluster by cluster: shape (clusters, columns)."""
    order = np.argsort(clusters, kind="stable")
    opens = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    return np.add.reduceat(sums[order], opens, axis=0) if len(sums) else sums


def resampled_sums(sums: Floats, seed: int) -> Floats:
    """Column sums of clusters drawn with replacement, `RESAMPLES` times.

    The draws depend on the seed and the number of clusters alone, so figures of one log share their resamples.

    Args:
        sums: One row per cluster, shape (clusters, columns).
        seed: Of the draws.

    Returns:
        Shape (resamples, columns).
    """
    clusters = len(sums)
    if clusters <= FEW_TO_KEEP:
        return product(_kept_draws(clusters, seed), sums)
    return np.concatenate([draws @ sums for draws in _draws(clusters, seed)])


@lru_cache(maxsize=8)
def _kept_draws(clusters: int, seed: int) -> Floats:
    return np.concatenate(list(_draws(clusters, seed)))


def _draws(clusters: int, seed: int) -> Iterator[Floats]:
    """How often each cluster is drawn, shape (some resamples, clusters), in blocks that stay small."""
    rng = np.random.default_rng([seed, clusters])
    block = max(1, (1 << 20) // max(clusters, 1))
    for begin in range(0, RESAMPLES, block):
        rows = min(block, RESAMPLES - begin)
        drawn = rng.integers(0, clusters, (rows, clusters)) + clusters * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * clusters).reshape(rows, clusters).astype(np.float64)


def wilson(successes: ArrayLike, trials: ArrayLike, z: float = Z) -> tuple[Floats, Floats]:
    """Wilson score interval of a proportion: low and high, of the shape of the arguments; trials are positive."""
    successes, trials = np.asarray(successes, np.float64), np.asarray(trials, np.float64)
    p, square = successes / trials, z * z / trials
    centre = (p + square / 2) / (1 + square)
    half = z / (1 + square) * np.sqrt(p * (1 - p) / trials + square / (4 * trials))
    return np.clip(centre - half, 0.0, p), np.clip(centre + half, p, 1.0)  # rounding would leave 0 and 1 behind


def student_half_width(std: Floats, size: Ints, k: Ints) -> Floats:
    """t(.975, k - 1) std / sqrt(size), half of the interval of a step reward; NaN for k = 1."""
    sizes, place = np.unique(k, return_inverse=True)
    quantile = np.array([student_quantile(int(size) - 1) for size in sizes])
    return quantile[place] * std / np.sqrt(size)


@lru_cache(maxsize=1024)
def student_quantile(freedom: int) -> float:
    """t(.975) of Student's distribution with `freedom` degrees, to the last digits; NaN for 0.

    From its closed form for whole degrees (Abramowitz and Stegun 26.7.3 and 26.7.4) by bisection: `scipy.special` takes
    as long to import as polars, and nothing else of it is needed to analyze a log.
    """
    if freedom < 1:
        return math.nan
    # P(|T| <= t) is a sum of powers of cos(atan(t / sqrt(freedom))), whose factors are products of odd over even
    # numbers for even degrees, of even over odd for odd ones.
    odd = freedom % 2
    steps = np.arange(1, (freedom - odd) // 2)
    factors = np.cumprod(np.append(1.0, (2 * steps - 1 + odd) / (2 * steps + odd)))[: (freedom - odd) // 2]
    powers = 2 * np.arange(len(factors)) + odd
    low, high = 1.0, 13.0  # t(.975) is 12.7 for one degree, and falls to 1.96
    while (middle := (low + high) / 2) not in (low, high):
        angle = math.atan(middle / math.sqrt(freedom))
        inside = math.sin(angle) * float(factors @ math.cos(angle) ** powers)
        inside = 2 / math.pi * (angle + inside) if odd else inside
        low, high = (middle, high) if inside < 0.95 else (low, middle)
    return middle


def wilson_bound(mean: Floats, size: Ints, z: float = Z) -> Floats:
    """Distance z sqrt(mean (1 - mean) / size) of p from `mean` beyond which its Wilson interval leaves `mean` out.

    (The Wilson interval is the set of means that the score test does not reject.)
    """
    return z * np.sqrt(mean * (1 - mean) / size)
