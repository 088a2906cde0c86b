"""Learning rates chosen on seeds of their own, and what is done when the best one lies at the edge of its grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

PLATEAU = 0.005  # scores closer than this to the best are as good, and the rate in the middle of them is taken

Score = Callable[[list[tuple[str, float]]], list[float]]  # method and rate to the mean score, one for each pair


class Choice(NamedTuple):
    """The rate of a method.

    Attributes:
        rate: The one chosen.
        edge: It lies at an edge of the grid that was searched: a better one may lie beyond.
        scores: Mean score of every rate that was tried, in order.
    """

    rate: float
    edge: bool
    scores: dict[float, float]


def choose_rates(score: Score, methods: Sequence[str], grid: Sequence[float], widen: int) -> dict[str, Choice]:
    """The best rate of every method.

    Args:
        score: Runs methods at rates on the seeds for choosing.
        methods: Their names.
        grid: Learning rates, three or more, evenly spaced as logarithms.
        widen: How many times the grid of a method may grow by one rate beyond the edge where its best one lies.
    """
    step = grid[1] / grid[0]
    pairs = [(method, rate) for method in methods for rate in grid]
    found: dict[str, dict[float, float]] = {method: {} for method in methods}
    for _ in range(widen + 1):
        for (method, rate), value in zip(pairs, score(pairs), strict=True):
            found[method][rate] = value
        choices = {method: _choose(scores) for method, scores in found.items()}
        pairs = [(method, _beyond(choice, step)) for method, choice in choices.items() if choice.edge]
        if not pairs:
            break
    return choices


def _choose(scores: dict[float, float]) -> Choice:
    rates = sorted(scores)
    best = max(scores.values())
    good = [n for n, rate in enumerate(rates) if scores[rate] >= best - PLATEAU]
    at = min(good, key=lambda n: (abs(2 * n - len(rates) + 1), -scores[rates[n]]))
    return Choice(rates[at], at in (0, len(rates) - 1), {rate: scores[rate] for rate in rates})


def _beyond(choice: Choice, step: float) -> float:
    """The next rate on the side where the best one lies; rounded, so that its name is short."""
    rate = choice.rate * step if choice.rate == max(choice.scores) else choice.rate / step
    return float(f"{rate:.3g}")
