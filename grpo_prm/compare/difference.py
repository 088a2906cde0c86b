"""Statistics of two or more runs and their differences, with a bootstrap of what the runs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from ..analysis.clusters import PROBLEM
from ..analysis.ratios import Sums, percentiles
from ..analysis.statistics import STATISTICS, Kind
from ..core.forest import Floats, Ints
from ..core.holm import holm
from ..core.interval import FEW_CLUSTERS, Interval
from .runs import Run, Runs

COMPARED = tuple(name for name, one in STATISTICS.items() if one.kind is not None)
ROUNDING = 1e-12
SCHEMA = {
    "statistic": pl.String(),
    "run": pl.String(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
    "difference": pl.Float64(),
    "difference_low": pl.Float64(),
    "difference_high": pl.Float64(),
    "p": pl.Float64(),
    "p_holm": pl.Float64(),
    "note": pl.String(),
}


@dataclass(frozen=True, slots=True)
class Common:
    """What is compared of each run, and what is resampled.

    Attributes:
        by: `step` or `prompt` (problems): the same ones are drawn in every run. `none`: problems of each run on their
            own.
        tables: Groups of each run, the rest left out.
        clusters: Columns that name what is drawn.
        steps: Training steps in common; None where steps are not logged, or none is common.
        sentence: What is compared and resampled, for the reader.
    """

    by: Literal["step", "prompt", "none"]
    tables: tuple[pl.DataFrame, ...]
    clusters: tuple[str, ...]
    steps: list[int] | None
    sentence: str


def common_part(runs: tuple[Run, ...]) -> Common:
    """Find what the runs have in common: their training steps, else their problems, else nothing.

    Twenty common steps or more are paired; else twenty common problems, in the common steps if there are any.
    """
    # Steps first: their noise, such as the difficulty of a batch, is common to runs on the same data.
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    tables = tuple(run.groups.filter(pl.col("step").is_in(steps)) if steps else run.groups for run in runs)
    span = f"the {len(steps)} training steps in common ({steps[0]} to {steps[-1]})" if len(steps) > 1 else ""
    span = f"the one training step in common ({steps[0]})" if len(steps) == 1 else span
    if len(steps) >= FEW_CLUSTERS:
        sentence = f"Compared on {span}. The 95 % intervals resample these steps, the same for every run."
        return Common("step", tables, ("step",), steps, sentence)
    # By prompt alone where the runs number their problems in ways of their own. Keys such as 0, 1, 2 are no prompts.
    known = all(run.prompts for run in runs)
    ways = ((columns, _in_all(tables, columns)) for columns in (PROBLEM, PROBLEM[:1]) if known)
    clusters, both = next((way for way in ways if len(way[1]) >= FEW_CLUSTERS), (PROBLEM, None))
    # Problems are paired inside the common steps only, else a longer run would count for more.
    on = f"on {span}" if steps else "as a whole, since they have no training step in common"
    if both is not None:
        tables = tuple(
            table.join(both, on=clusters, how="semi", nulls_equal=True, maintain_order="left") for table in tables
        )
        sentence = (
            f"Compared {on}, on {len(both)} problems in common. The 95 % intervals resample these, the same for "
            "every run."
        )
        return Common("prompt", tables, clusters, steps or None, sentence)
    sentence = (
        f"Compared {on}. The runs share fewer than {FEW_CLUSTERS} steps and problems, so the 95 % intervals resample "
        "the problems of each run on its own: nothing is paired."
    )
    return Common("none", tables, PROBLEM, steps or None, sentence)


def _in_all(tables: tuple[pl.DataFrame, ...], columns: tuple[str, ...]) -> pl.DataFrame:
    """The values of some columns that every table has, each once."""
    first, *others = (table.select(columns).unique(maintain_order=True) for table in tables)
    for other in others:
        first = first.join(other, on=columns, how="semi", nulls_equal=True)
    return first


class Drawn(NamedTuple):
    """A statistic of a run, its resamples, shape (resamples,), and how many clusters have it."""

    mean: float
    resampled: Floats
    clusters: int

    @property
    def varies(self) -> bool:
        """Whether the resamples differ, beyond rounding."""
        known = self.resampled[~np.isnan(self.resampled)]
        return len(known) > 0 and float(np.ptp(known)) > ROUNDING


@dataclass(frozen=True, slots=True)
class Draws:
    """Every statistic of a run on the common part, and its resamples.

    Attributes:
        intervals: By name, of `COMPARED`.
        mean: Shape (statistics,), NaN for none.
        resampled: Shape (resamples, statistics).
        clusters: How many clusters have each, shape (statistics,).
    """

    intervals: dict[str, Interval]
    mean: Floats
    resampled: Floats
    clusters: Ints

    def of(self, name: str) -> Drawn:
        """One statistic."""
        at = COMPARED.index(name)
        return Drawn(float(self.mean[at]), self.resampled[:, at], int(self.clusters[at]))


class Difference(NamedTuple):
    """A difference of a statistic, its 95 % range and its p-value against 0; None for what is not known."""

    value: float | None
    low: float | None
    high: float | None
    p: float | None


NO_DIFFERENCE = Difference(None, None, None, None)


def draws_of(common: Common, seed: int) -> list[Draws]:
    """Every run's statistics and resamples, in the order of the runs; paired if the runs have clusters in common.

    Args:
        common: `common_part` of the runs.
        seed: Of the resamples.
    """
    made = []
    for at, table in enumerate(common.tables):
        sums = Sums(table, common.clusters, COMPARED)
        # Equal seeds draw the same steps or problems in every run, which pairs them; others are drawn independently.
        own = seed if common.by != "none" else seed + at
        # Its own interval is the same whatever its place among the runs.
        made.append(Draws(sums.intervals(seed), *sums.resamples(own)))
    return made


def differences(compared: Runs, draws: list[Draws]) -> pl.DataFrame:
    """Every statistic of every run on the common part, and its difference from the first run.

    Args:
        compared: The runs.
        draws: `draws_of` them.

    Returns:
        `SCHEMA`, statistic by statistic, run by run. `n` counts the clusters that have the statistic. The difference is
        null for the first run, and with a note where the runs cannot be compared in it: other k, other units. It has no
        interval where neither run's resamples differ among themselves, as of shares that are all 0 or 1. `p_holm` is
        `p` after Holm's adjustment over all differences of the table.
    """
    rows = []
    for name in COMPARED:
        why = not_comparable(compared, STATISTICS[name].kind)
        base = draws[0].of(name)
        for at, (run, drawn) in enumerate(zip(compared.runs, draws, strict=True)):
            found = NO_DIFFERENCE if not at or why else difference(drawn.of(name), base)
            rows.append((name, run.name, *drawn.intervals[name], *found, None, why if at else None))
    table = pl.DataFrame(rows, schema=SCHEMA, orient="row")
    asked = table["p"].is_not_null()
    adjusted = np.full(len(table), np.nan)
    adjusted[asked.to_numpy()] = holm(table.filter(asked)["p"])
    return table.with_columns(pl.Series("p_holm", adjusted, nan_to_null=True))


def difference(one: Drawn, base: Drawn) -> Difference:
    """Difference of a statistic of two runs, with its 95 % range and p where there are."""
    value = one.mean - base.mean
    ends, p = (np.nan, np.nan), None
    # Shares that are 0 or 1 in every cluster do not vary: a range of no width would look like certainty.
    if min(one.clusters, base.clusters) >= FEW_CLUSTERS and (one.varies or base.varies):
        apart = one.resampled - base.resampled
        ends = percentiles(apart[:, None])[:, 0].tolist()
        p = _p_value(value, apart[~np.isnan(apart)], min(one.clusters, base.clusters))
    # A difference within rounding is none: else its sign would be an accident of the order of summation.
    value, low, high = (
        None if np.isnan(each) else 0.0 if abs(each) < ROUNDING else float(each) for each in (value, *ends)
    )
    return Difference(value, low, high, p)


def _p_value(value: float, apart: Floats, clusters: int) -> float:
    """Two-sided p of Student's t: the difference over the standard deviation of its resamples.

    Counting resamples beyond 0 could give no p below 1 in 1,000, so that nothing would be left of it after Holm.
    """
    from scipy.special import stdtr

    # A bootstrap of n clusters is too narrow by sqrt((n - 1) / n).
    error = float(np.std(apart)) * np.sqrt(clusters / (clusters - 1))
    if error <= ROUNDING:
        return 1.0 if abs(value) < ROUNDING else 0.0
    return float(2 * stdtr(clusters - 1, -abs(value) / error))


def not_comparable(compared: Runs, kind: Kind | None) -> str | None:
    """Why a difference would mean nothing, if it would."""
    if kind != "reward" and not compared.one_unit:
        return "other units"
    if kind == "tree" and not compared.one_k:
        return "other k"
    return None
