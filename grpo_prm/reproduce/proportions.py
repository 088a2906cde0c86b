"""Two proportions of independent trials: intervals of their difference, exact tests."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..core.forest import Floats
from ..core.interval import wilson

# Right answers of one and of the other, and the problems of each.
Pair = tuple[int, int, int]


def difference_interval(pairs: Sequence[Pair]) -> tuple[float, float, float]:
    """Mean difference of proportions, with its 95 % interval: Newcombe's of one pair, squared and added of several.

    Each interval is put together from the Wilson intervals of both proportions, so it holds where a proportion is 0 or
    1 and never leaves [-1, 1] (Newcombe 1998, method 10; Zou and Donner 2008 for the mean of several).

    Args:
        pairs: Successes of one, of the other, and the trials of each; all trials are taken as independent.

    Returns:
        Mean of one minus the other, its low and its high end.
    """
    one, other, n = np.asarray(pairs, np.float64).T
    p, q = one / n, other / n
    (p_low, p_high), (q_low, q_high) = wilson(one, n), wilson(other, n)
    mean = float((p - q).mean())
    return mean, mean - _root((p - p_low) ** 2 + (q_high - q) ** 2), mean + _root((p_high - p) ** 2 + (q - q_low) ** 2)


def _root(squares: Floats) -> float:
    """Half of the interval of a mean from the squared halves of its terms."""
    return math.sqrt(float(squares.sum())) / len(squares)


def exact_p(pair: Pair) -> float:
    """Two-sided p-value of equal proportions, Fisher's exact test: all splits that are no likelier than this one."""
    one, other, n = pair
    right = one + other
    # Ways to split the right answers, in whole numbers: equally likely splits are equal, whatever rounding does.
    ways = [math.comb(n, x) * math.comb(n, right - x) for x in range(max(0, right - n), min(n, right) + 1)]
    seen = math.comb(n, one) * math.comb(n, other)
    return sum(way for way in ways if way <= seen) / math.comb(2 * n, right)


def sign_test(up: int, down: int) -> float:
    """Two-sided p-value of the exact sign test; 1 without any difference. Equal pairs are left out before."""
    n, least = up + down, min(up, down)
    tail = sum(math.comb(n, number) for number in range(least + 1)) / 2**n
    return min(1.0, 2 * tail)
