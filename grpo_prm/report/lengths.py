"""Reward against length over all completions of a log, counted in cells so that any log fits into a page."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from ..analysis.tables import Tables
from .embed import numbers

COLUMNS = 40  # cells along the length
LABELLED = 6  # values of the reward, up to which each is named at the axis
ROWS = 24  # cells along the reward, where it has more values than this


def reward_by_length(folder: Tables) -> dict[str, Any] | None:
    """Counts of completions by length and reward.

    Args:
        folder: Of the analysis; its completions are read in a stream.

    Returns:
        `length` and `reward`, each `low`, `high` (the edges of the first and the last cell) and `cells` (how many), and
        the reward its `values` where they are few;
        `counts`, a list of [cell along the length, cell along the reward, completions]; `correlation` (Pearson's, None
        where one of the two does not vary) and `completions`. Lengths are tokens in the loss. None without rewards.
    """
    rows = folder.completions.select(x="loss_tokens", y="reward").drop_nulls().filter(pl.col("y").is_finite())
    found = rows.select(
        low=pl.col("x").min(), high=pl.col("x").max(), least=pl.col("y").min(), most=pl.col("y").max(),
        correlation=pl.corr("x", "y"), values=pl.col("y").n_unique(), completions=pl.len(),
    ).collect().row(0, named=True)  # fmt: skip
    if not found["completions"]:
        return None
    x = _axis(found["low"] - 0.5, found["high"] + 0.5, min(COLUMNS, found["high"] - found["low"] + 1))
    few = found["values"] <= ROWS
    # Where rewards have few values each has a row of its own, of the width of the smallest distance.
    values = rows.select(pl.col("y").unique().sort()).collect()["y"] if few else pl.Series([], dtype=pl.Float64)
    half = _half(values.to_numpy()) if few else 0.0
    span = found["most"] - found["least"] + 2 * half
    y = _axis(found["least"] - half, found["most"] + half, max(1, min(ROWS, round(span / (2 * half)))) if few else ROWS)
    counts = rows.group_by(_cell("x", x), _cell("y", y)).len().sort("x", "y").collect()
    r = found["correlation"]
    return {
        "length": x,
        "reward": y | ({"values": numbers(values)} if 0 < len(values) <= LABELLED else {}),
        "counts": [list(row) for row in counts.iter_rows()],
        "correlation": None if r is None or not math.isfinite(r) else round(r, 3),
        "completions": found["completions"],
    }


def _axis(low: float, high: float, cells: int) -> dict[str, float | int]:
    return {"low": float(low), "high": float(high), "cells": cells}


def _half(values: np.ndarray) -> float:
    """Half of the smallest distance of two values; of a single one half of 1."""
    return float(np.diff(np.sort(values)).min()) / 2 if len(values) > 1 else 0.5


def _cell(column: str, axis: dict[str, Any]) -> pl.Expr:
    width = (axis["high"] - axis["low"]) / axis["cells"]
    return ((pl.col(column) - axis["low"]) / width).floor().clip(0, axis["cells"] - 1).cast(pl.Int64)
