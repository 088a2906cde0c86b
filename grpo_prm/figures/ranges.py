"""Intervals of the points of a line: a band where every point has one, else a bar at each point that has."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from numpy.typing import NDArray

from .style import BAND


def in_bars(table: pl.DataFrame) -> bool:
    """Whether some points have an interval and some have none: a band would be a patchwork.

    Args:
        table: All points of a figure that can have one, with `mean` and `low`, so that its panels are in one manner.
    """
    has = table.filter(pl.col("mean").is_not_null())["low"].is_not_null()
    return bool(has.any() and not has.all())


def draw_range(
    axes: Axes, x: NDArray, mean: NDArray, low: NDArray, high: NDArray, *, colour: str, barred: bool, front: int = 1
) -> None:
    """Draw the intervals of one line; unknown ones, which are NaN, are left out.

    Args:
        axes: Where to draw.
        x: Of each point, shape (points,).
        mean: Of each point.
        low: Lower ends.
        high: Upper ends.
        colour: Of the line.
        barred: `in_bars` of the figure.
        front: Order of drawing of bars.
    """
    if len(x) > 1 and not barred:
        axes.fill_between(x, low, high, color=colour, alpha=BAND, linewidth=0, zorder=1)
        return
    known = np.isfinite(low)
    style: Any = {"fmt": "none", "capsize": 1.5, "elinewidth": 0.8, "capthick": 0.8, "ecolor": colour, "zorder": front}
    if known.any():
        axes.errorbar(x[known], mean[known], bars(mean[known], low[known], high[known]), **style)


def bars(mean: NDArray, low: NDArray, high: NDArray) -> NDArray:
    """Lengths of the error bars, (2, points); an unknown end has none."""
    # Clipped: rounding can put a mean an ulp outside its own interval, and matplotlib refuses negative bars.
    return np.nan_to_num(np.stack([mean - low, high - mean])).clip(min=0)
