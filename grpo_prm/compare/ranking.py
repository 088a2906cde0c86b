"""Runs in the order of one statistic: which places each can have, and which runs cannot be told apart.

Every pair is tested, with Holm's adjustment over all pairs. A run's best place is behind those that are surely above
it, its worst before those that are surely below: together these ranges hold the true places in 95 % of cases (Mogstad,
Romano, Shaikh and Wilhelm, Inference for Ranks, Review of Economic Studies 91, 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from ..analysis.statistics import STATISTICS
from ..core.holm import holm
from ..errors import UsageError
from .difference import COMPARED, Draws, difference, not_comparable
from .runs import Runs

LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Place:
    """A run in the ranking.

    Attributes:
        run: Its name.
        mean, low, high: The statistic and its 95 % interval, None where not known.
        best, worst: The places that it can have, counted from 1; None without a value.
        tied: Names of the runs that it cannot be told apart from, in the order of the ranking.
    """

    run: str
    mean: float | None
    low: float | None
    high: float | None
    best: int | None
    worst: int | None
    tied: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """Runs in the order of a statistic, the highest first; those without a value last.

    Attributes:
        statistic: Its name, of `statistics.STATISTICS`.
        places: The runs.
        pairs: How many pairs of runs have a value.
        apart: How many of them are told apart.
        untested: How many have no interval, so that nothing tells them apart.
    """

    statistic: str
    places: tuple[Place, ...]
    pairs: int
    apart: int
    untested: int


def rank(compared: Runs, draws: Sequence[Draws], statistic: str = "reward") -> Ranking:
    """Rank runs by a statistic.

    Args:
        compared: The runs.
        draws: `difference.draws_of` them.
        statistic: Of `difference.COMPARED`.

    Raises:
        UsageError: There is no such statistic, or the runs cannot be compared in it.
    """
    if statistic not in COMPARED:
        raise UsageError(f"--rank {statistic}: no statistic that is compared. Choose one of {', '.join(COMPARED)}.")
    if why := not_comparable(compared, STATISTICS[statistic].kind):
        raise UsageError(f"--rank {statistic}: the runs cannot be compared in it ({why}). Rank them by reward.")
    values = {run.name: drawn.of(statistic) for run, drawn in zip(compared.runs, draws, strict=True)}
    known = sorted((name for name in values if values[name].clusters), key=lambda name: -values[name].mean)
    pairs = list(combinations(known, 2))  # the higher one first
    p = {pair: difference(values[pair[0]], values[pair[1]]).p for pair in pairs}
    tested = [pair for pair in pairs if p[pair] is not None]
    adjusted = holm([p[pair] for pair in tested])
    apart = {pair for pair, value in zip(tested, adjusted, strict=True) if value <= LEVEL}
    intervals = {run.name: drawn.intervals[statistic] for run, drawn in zip(compared.runs, draws, strict=True)}
    places = [
        Place(name, *intervals[name][:3], *_range(name, known, apart), _tied(name, known, apart)) for name in known
    ]
    places += [Place(name, None, None, None, None, None, ()) for name in values if name not in known]
    return Ranking(statistic, tuple(places), len(pairs), len(apart), len(pairs) - len(tested))


def _range(name: str, known: Sequence[str], apart: set[tuple[str, str]]) -> tuple[int, int]:
    """Best and worst place."""
    above, below = (sum(pair[side] == name for pair in apart) for side in (1, 0))
    return 1 + above, len(known) - below


def _tied(name: str, known: Sequence[str], apart: set[tuple[str, str]]) -> tuple[str, ...]:
    return tuple(other for other in known if other != name and not {(name, other), (other, name)} & apart)
