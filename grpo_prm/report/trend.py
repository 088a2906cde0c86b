"""Statistics over training steps, as series that the page draws as small charts side by side."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..analysis.statistics import STATISTICS
from ..figures.over_training import has_course
from ..text.cells import BESIDE
from .embed import numbers

POINTS = 600  # training steps of a series; of more, every n-th is drawn, and the page says which


def trend(training: pl.DataFrame) -> list[dict[str, Any]]:
    """Statistics over training steps.

    Args:
        training: Of an analysis.

    Returns:
        For each statistic that varies over at least two steps of a run: `name`, `share`, `beside` (what the reference
        is called, None without), `every` (1, or n where only each n-th step is drawn) and `series`: for each run `run`,
        `step`, `mean`, `low`, `high`, `besideMean`, `besideLow`, `besideHigh`.
    """
    charts = []
    for statistic in STATISTICS.values():
        rows = training.filter(pl.col("statistic") == statistic.name, pl.col("step").is_not_null())
        if statistic.null == "cross-prompt":
            rows = _beside_baseline(rows, training.filter(pl.col("statistic") == f"baseline_{statistic.name}"))
        if not statistic.over_training or not has_course(rows.filter(pl.col("mean").is_not_null())):
            continue
        # Rounded up, so that never more than `POINTS` remain.
        every = -(-rows["step"].n_unique() // POINTS)
        has_null = statistic.null != "none" and rows["null_mean"].count() > 0
        series = [
            _series(str(run), of_run, every, has_null)
            for (run,), of_run in rows.sort("run", "step").group_by("run", maintain_order=True)
        ]
        beside = BESIDE[statistic.null] if has_null else None
        charts.append(
            {"name": statistic.title, "share": statistic.share, "beside": beside, "every": every, "series": series}
        )
    return charts


def _beside_baseline(rows: pl.DataFrame, baseline: pl.DataFrame) -> pl.DataFrame:
    """The cross-prompt baseline in the columns of the null, so that both kinds are drawn alike."""
    reference = baseline.select("run", "step", null_mean="mean", null_low="low", null_high="high")
    return rows.drop("null_mean", "null_low", "null_high").join(reference, on=["run", "step"], how="left")


def _series(run: str, rows: pl.DataFrame, every: int, has_null: bool) -> dict[str, Any]:
    rows = rows.gather_every(every)
    names = {"mean": "mean", "low": "low", "high": "high"}
    names |= {"besideMean": "null_mean", "besideLow": "null_low", "besideHigh": "null_high"} if has_null else {}
    return {"run": run, "step": rows["step"].to_list()} | {
        ours: numbers(rows[theirs]) for ours, theirs in names.items()
    }
