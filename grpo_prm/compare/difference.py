"""Figures of two or more runs and their differences, with a bootstrap that resamples what the runs have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

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
        by: `step` or `prompt`: the same ones are drawn in every run. `none`: prompts of each run on their own.
        tables: Groups of each run, the rest left out.
        clusters: Columns that name what is drawn.
        steps: Training steps in common; None where steps are not logged, or none is common.
        said: One sentence for the reader.
    """

    by: Literal["step", "prompt", "none"]
    tables: tuple[pl.DataFrame, ...]
    clusters: tuple[str, ...]
    steps: list[int] | None
    said: str


def common_part(runs: tuple[Run, ...]) -> Common:
    """Find what the runs have in common: their training steps, else their prompts, else nothing.

    Twenty common steps or more are paired; else twenty common prompts, in the common steps if there are any.
    """
    steps = sorted(set.intersection(*(set(run.steps) for run in runs)))
    tables = tuple(run.groups.filter(pl.col("step").is_in(steps)) if steps else run.groups for run in runs)
    span = f"the {len(steps)} training steps in common ({steps[0]} to {steps[-1]})" if len(steps) > 1 else ""
    span = f"the one training step in common ({steps[0]})" if len(steps) == 1 else span
    if len(steps) >= FEW_CLUSTERS:
        said = f"Compared on {span}. The 95 % intervals resample these steps, the same for every run."
        return Common("step", tables, ("step",), steps, said)
    known = all(run.prompts for run in runs)  # keys such as 0, 1, 2 are no prompts in common
    prompts = set.intersection(*(set(table["prompt_key"]) for table in tables)) if known else set()
    on = f"on {span}" if steps else "as a whole, since they have no training step in common"
    if len(prompts) >= FEW_CLUSTERS:
        tables = tuple(table.filter(pl.col("prompt_key").is_in(list(prompts))) for table in tables)
        said = (
            f"Compared {on}, on {len(prompts)} prompts in common. The 95 % intervals resample these, the same for "
            "every run."
        )
        return Common("prompt", tables, ("prompt_key",), steps or None, said)
    said = (
        f"Compared {on}. The runs share fewer than {FEW_CLUSTERS} steps and prompts, so the 95 % intervals resample "
        "the prompts of each run on its own: nothing is paired."
    )
    return Common("none", tables, ("prompt_key",), steps or None, said)


def differences(compared: Runs, common: Common, seed: int) -> pl.DataFrame:
    """Every figure of every run on the common part, and its difference from the first run.

    Args:
        compared: The runs.
        common: `common_part` of them.
        seed: Of the resamples.

    Returns:
        `SCHEMA`, figure by figure, run by run. `n` counts the clusters that have the figure. The difference is null for
        the first run, and with a note where the figures are not of one kind: other k, other units. It has no interval
        where neither run's resamples differ among themselves, as of shares that are all 0 or 1.
    """
    found = []
    for at, table in enumerate(common.tables):
        sums = Sums(table, common.clusters, COMPARED)
        own = seed if common.by != "none" else seed + at  # independent draws where nothing is paired
        found.append((sums.intervals(own), *sums.resamples(own)))
    rows = []
    for column, name in enumerate(COMPARED):
        why = _not_comparable(compared, STATISTICS[name].kind)
        base = _Drawn.of(found[0], column)
        for at, (run, one) in enumerate(zip(compared.runs, found, strict=True)):
            apart = [None] * 3 if not at or why else _difference(_Drawn.of(one, column), base)
            rows.append((name, run.name, *one[0][name], *apart, why if at else None))
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


class _Drawn(NamedTuple):
    """A figure of a run, its resamples, and how many clusters have it."""

    mean: float
    drawn: Floats
    clusters: int

    @classmethod
    def of(cls, found: tuple, column: int) -> _Drawn:
        _, mean, drawn, clusters = found
        return cls(float(mean[column]), drawn[:, column], int(clusters[column]))

    @property
    def spread(self) -> bool:
        """Whether the resamples differ, beyond rounding."""
        known = self.drawn[~np.isnan(self.drawn)]
        return len(known) > 0 and float(np.ptp(known)) > ROUNDING


def _difference(one: _Drawn, base: _Drawn) -> list[float | None]:
    """Difference of the figures, and its 95 % range where there is one."""
    apart = one.mean - base.mean
    ends = [np.nan, np.nan]
    if min(one.clusters, base.clusters) >= FEW_CLUSTERS and (one.spread or base.spread):
        ends = percentiles((one.drawn - base.drawn)[:, None])[:, 0].tolist()
    return [None if np.isnan(value) else 0.0 if abs(value) < ROUNDING else float(value) for value in (apart, *ends)]


def _not_comparable(compared: Runs, kind: Kind | None) -> str | None:
    """Why a difference would mean nothing, if it would."""
    if kind != "reward" and not compared.one_unit:
        return "other units"
    if kind == "tree" and not compared.one_k:
        return "other k"
    return None
