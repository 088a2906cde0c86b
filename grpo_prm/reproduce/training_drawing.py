"""What the figures of training draw, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from .claims import Finding
from .paired import band_table
from .training_runs import CURVES, curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BESIDE = ("accuracy", "intermediate_proportion", "update_scale_1", "update_cosine_1", "grad_norm")


def gains_table(findings: Sequence[Finding]) -> pl.DataFrame:
    """Every difference between methods: `panel` (task), `row` (measure), `method`, `mean`, `low`, `high`."""
    rows = [(f.part, f.setting, f.what, f.mean, f.low, f.high) for f in findings if " - " in f.what]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")


def curves_table(records: Mapping[tuple[str, str, int], pl.DataFrame]) -> pl.DataFrame:
    """Mean curves over seeds with Student's intervals, where all seeds have a value.

    Args:
        records: Task, method and seed to what `training_record` gives.

    Returns:
        `panel` (task), `method`, `statistic`, `step`, `mean`, `low`, `high`.
    """
    tables = []
    cases = dict.fromkeys((task, method) for task, method, _ in records)
    for (task, method), statistic in product(cases, CURVES):
        values = np.stack([curve(r, statistic) for key, r in records.items() if key[:2] == (task, method)])
        known = np.isfinite(values).all(axis=0)  # a group without intermediate sets has no proportion at a step
        names = {"panel": pl.lit(task), "method": pl.lit(method), "statistic": pl.lit(statistic)}
        tables.append(band_table(values[:, known], np.flatnonzero(known)).with_columns(**names))
    return pl.concat(tables)


def rates_table(scores: Mapping[tuple[str, str], Mapping[float, float]]) -> pl.DataFrame:
    """Score of every rate that was tried: `panel` (task), `method`, `rate`, `score`; no rows where none was chosen."""
    rows = [(*key, rate, score) for key, tried in scores.items() for rate, score in tried.items()]
    schema = {"panel": pl.String, "method": pl.String, "rate": pl.Float64, "score": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def draw_gains(table: pl.DataFrame) -> Figure:
    """Paired differences with intervals, a panel for each task."""
    from .drawing import interval_rows

    return interval_rows(table, "difference", zero=True)


def draw_curves(table: pl.DataFrame) -> Figure:
    """Accuracy, overlap, update scale, cosine and gradient norm over steps: a row for each, a column for each task."""
    from .drawing import curve_grid

    return curve_grid(table.filter(pl.col("statistic").is_in(BESIDE)))


def draw_rates(table: pl.DataFrame) -> Figure:
    """Score of every rate on the seeds for choosing."""
    from .drawing import rate_curves

    return rate_curves(table, "accuracy")
