"""The course of a training as series that the page draws small, side by side."""

from __future__ import annotations

from typing import Any

import polars as pl

from .embed import numbers

POINTS = 600  # training steps of a series; of more, evenly many are left out, and said

# Statistic to its name on the page, whether it is a share, and what it is drawn beside.
SHOWN = {
    "reward": ("mean reward", False, None),
    "zero_variance": ("groups of equal rewards", True, None),
    "path_depth": ("path depth", False, "cross-prompt"),
    "intermediate_proportion": ("intermediate proportion", True, "cross-prompt"),
    "suppressed_good": ("suppressed-good tokens", True, "rewards dealt anew"),
    "boosted_bad": ("boosted-bad tokens", True, "rewards dealt anew"),
    "certain_share": ("certain share", True, "rewards dealt anew"),
    "contest": ("contest", False, None),
}


def trend(training: pl.DataFrame) -> list[dict[str, Any]]:
    """Statistics over training steps.

    Args:
        training: Of an analysis.

    Returns:
        For each statistic that varies over at least two steps of a run: `name`, `share`, `beside` (what the reference
        is called, None without), `every` (1, or n where only each n-th step is drawn) and `series`: for each run `run`,
        `step`, `mean`, `low`, `high`, `besideMean`, `besideLow`, `besideHigh`.
    """
    found = []
    for statistic, (name, share, beside) in SHOWN.items():
        part = training.filter(pl.col("statistic") == statistic, pl.col("step").is_not_null())
        if beside == "cross-prompt":
            part = _beside_baseline(part, training.filter(pl.col("statistic") == f"baseline_{statistic}"))
        if part["mean"].count() < 2 or part["step"].n_unique() < 2:
            continue
        every = -(-part["step"].n_unique() // POINTS)
        known = beside is not None and part["null_mean"].count() > 0
        series = [
            _series(str(run), rows, every, known)
            for (run,), rows in part.sort("run", "step").group_by("run", maintain_order=True)
        ]
        found.append(
            {"name": name, "share": share, "beside": beside if known else None, "every": every, "series": series}
        )
    return found


def _beside_baseline(part: pl.DataFrame, baseline: pl.DataFrame) -> pl.DataFrame:
    """The cross-prompt baseline in the columns of the reference."""
    reference = baseline.select("run", "step", null_mean="mean", null_low="low", null_high="high")
    return part.drop("null_mean", "null_low", "null_high").join(reference, on=["run", "step"], how="left")


def _series(run: str, rows: pl.DataFrame, every: int, known: bool) -> dict[str, Any]:
    rows = rows.gather_every(every)
    names = {"mean": "mean", "low": "low", "high": "high"}
    names |= {"besideMean": "null_mean", "besideLow": "null_low", "besideHigh": "null_high"} if known else {}
    return {"run": run, "step": rows["step"].to_list()} | {
        ours: numbers(rows[theirs]) for ours, theirs in names.items()
    }
