"""Learning rates chosen on seeds of their own, and what is done when the best one lies at the edge of its grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

PLATEAU = 0.005  # scores closer than this to the best are as good, and the rate in the middle of them is taken

Key = TypeVar("Key", bound=tuple)  # a method, and where it is used


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
    found: dict[Key, dict[float, float]] = {key: {} for key in grids}
    for _ in range(widen + 1):
        for (key, rate), value in zip(pairs, score(pairs), strict=True):
            found[key][rate] = value
        choices = {key: _choose(scores) for key, scores in found.items()}
        pairs = [(key, _beyond(c, grids[key][1] / grids[key][0])) for key, c in choices.items() if c.edge]
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
