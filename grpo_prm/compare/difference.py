"""Statistics of two or more runs and their differences, with a bootstrap of what the runs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from ..analysis.clusters import PROBLEM
from ..analysis.ratios import Sums, percentiles
from ..analysis.statistics import STATISTICS, Kind
from ..core.forest import Floats
from ..core.interval import FEW_CLUSTERS
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


def differences(compared: Runs, common: Common, seed: int) -> pl.DataFrame:
    """Every statistic of every run on the common part, and its difference from the first run.

    Args:
        compared: The runs.
        common: `common_part` of them.
        seed: Of the resamples.

    Returns:
        `SCHEMA`, statistic by statistic, run by run. `n` counts the clusters that have the statistic. The difference is
        null for the first run, and with a note where the runs cannot be compared in it: other k, other units. It has no
        interval where neither run's resamples differ among themselves, as of shares that are all 0 or 1.
    """
    runs = []
    for at, table in enumerate(common.tables):
        sums = Sums(table, common.clusters, COMPARED)
        # Equal seeds draw the same steps or problems in every run, which pairs them; others are drawn independently.
        own = seed if common.by != "none" else seed + at
        runs.append((sums.intervals(own), *sums.resamples(own)))
    rows = []
    for column, name in enumerate(COMPARED):
        why = _not_comparable(compared, STATISTICS[name].kind)
        drawn = [
            _Drawn(float(mean[column]), resampled[:, column], int(clusters[column]))
            for _, mean, resampled, clusters in runs
        ]
        for at, (run, (intervals, *_)) in enumerate(zip(compared.runs, runs, strict=True)):
            difference = [None] * 3 if not at or why else _difference(drawn[at], drawn[0])
            rows.append((name, run.name, *intervals[name], *difference, why if at else None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


class _Drawn(NamedTuple):
    """A statistic of a run, its resamples, shape (resamples,), and how many clusters have it."""

    mean: float
    resampled: Floats
    clusters: int

    @property
    def varies(self) -> bool:
        """Whether the resamples differ, beyond rounding."""
        known = self.resampled[~np.isnan(self.resampled)]
        return len(known) > 0 and float(np.ptp(known)) > ROUNDING


def _difference(one: _Drawn, base: _Drawn) -> list[float | None]:
    """Difference of the statistics, and its 95 % range where there is one."""
    ends = [np.nan, np.nan]
    # Shares that are 0 or 1 in every cluster do not vary: a range of no width would look like certainty.
    if min(one.clusters, base.clusters) >= FEW_CLUSTERS and (one.varies or base.varies):
        ends = percentiles((one.resampled - base.resampled)[:, None])[:, 0].tolist()
    # A difference within rounding is none: else its sign would be an accident of the order of summation.
    values = (one.mean - base.mean, *ends)
    return [None if np.isnan(value) else 0.0 if abs(value) < ROUNDING else float(value) for value in values]


def _not_comparable(compared: Runs, kind: Kind | None) -> str | None:
    """Why a difference would mean nothing, if it would."""
    if kind != "reward" and not compared.one_unit:
        return "other units"
    if kind == "tree" and not compared.one_k:
        return "other k"
    return None
