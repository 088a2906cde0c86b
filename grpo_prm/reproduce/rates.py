"""Learning rates chosen on seeds of their own, and what is done when the best one lies at the edge of its grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

CHOOSING = 50_000  # seeds from here on choose rates; those below are reported
PLATEAU = 0.005  # neighbours of the best rate whose scores are closer than this are as good

Key = TypeVar("Key", bound=tuple)  # a method, and where it is used


class Choice(NamedTuple):
    """The rate of a method.

    Attributes:
        rate: The one chosen.
        edge: It lies at an edge of the grid that was searched: a better one may lie beyond; None: none was searched.
        scores: Mean score of every rate that was tried, in order.
    """

    rate: float
    edge: bool | None
    scores: dict[float, float]

    @property
    def note(self) -> str:
        """Why nothing can be decided at this rate, or nothing."""
        return "one rate" if self.edge is None else "edge" if self.edge else ""


def choose_rates(
    score: Callable[[list[tuple[Key, float]]], list[float]], grids: Mapping[Key, Sequence[float]], widen: int
) -> dict[Key, Choice]:
    """The best rate of every method, wherever it is used.

    Args:
        score: Runs methods at rates on the seeds for choosing; gives the mean score of each pair.
        grids: Learning rates of each, three or more, evenly spaced as logarithms.
        widen: How many times a grid may grow by one rate beyond the edge where the best one lies.
    """
    pairs = [(key, rate) for key, grid in grids.items() for rate in grid]
    scores: dict[Key, dict[float, float]] = {key: {} for key in grids}
    for _ in range(widen + 1):
        for (key, rate), value in zip(pairs, score(pairs), strict=True):
            scores[key][rate] = value
        pairs = [(key, beyond) for key, s in scores.items() if (beyond := _beyond(s, grids[key][1] / grids[key][0]))]
        if not pairs:
            break
    return {key: choose(own) for key, own in scores.items()}


def choose(scores: dict[float, float]) -> Choice:
    """The middle one of the rates around the best that are as good.

    Args:
        scores: Mean score of every rate, three or more.
    """
    rates = sorted(scores)
    # Scores are means of few seeds: of rates that cannot be told apart the middle one is the safest.
    low = high = _best(scores, rates)
    least = scores[rates[low]] - PLATEAU
    while low > 0 and scores[rates[low - 1]] >= least:
        low -= 1
    while high + 1 < len(rates) and scores[rates[high + 1]] >= least:
        high += 1
    at = (low + high + (low == 0)) // 2  # away from an edge, where the middle lies between two
    return Choice(rates[at], at in (0, len(rates) - 1), {rate: scores[rate] for rate in rates})


def _beyond(scores: dict[float, float], step: float) -> float | None:
    """The next rate on the side of the edge where the best one lies, None where it lies inside; short to write."""
    rates = sorted(scores)
    best = _best(scores, rates)
    if 0 < best < len(rates) - 1:
        return None
    # Rounded, as a rate is part of the name of its records: the same rate must be the same number again.
    return float(f"{rates[best] * step if best else rates[best] / step:.3g}")


def _best(scores: dict[float, float], rates: Sequence[float]) -> int:
    """Place of the best rate; of equal ones that nearest to the middle."""
    return max(range(len(rates)), key=lambda n: (scores[rates[n]], -abs(2 * n - len(rates) + 1)))
