"""Figures of the claim about the hidden PRM and true values."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..figures.style import COLUMN, MARKERS, PALETTE, PAPER, REFERENCE, new_axes


def slopes(table: pl.DataFrame) -> Figure:
    """Estimated reliability against the true slope, both with intervals; on the line the estimate is right.

    Args:
        table: `policy`, `k`, and `mean`, `low`, `high` of both: `reliability`, `reliability_low`, ..., `slope`, ...
    """
    policies, ks = (table[name].unique(maintain_order=True).to_list() for name in ("policy", "k"))
    entries = [(Line2D([], [], color=_colour(policies, name), marker="o", linewidth=0), name) for name in policies]
    entries += [(Line2D([], [], color=REFERENCE, marker=MARKERS[n], linewidth=0), f"k = {k}") for n, k in enumerate(ks)]
    with mpl.rc_context(PAPER):
        figure, (axes,) = new_axes(1, 1, 2.6, COLUMN, entries)
        for row in table.iter_rows(named=True):
            across, up = (
                np.array([[row[name] - row[f"{name}_low"]], [row[f"{name}_high"] - row[name]]])
                for name in ("slope", "reliability")
            )
            marker: Any = {"marker": MARKERS[ks.index(row["k"])], "color": _colour(policies, row["policy"])}
            spread: Any = {"xerr": across, "yerr": up, "markersize": 3.5, "elinewidth": 0.6, "linewidth": 0}
            axes.errorbar(row["slope"], row["reliability"], **spread, **marker)
        _diagonal(axes)
        axes.set_xlabel("true slope of V on R")
        axes.set_ylabel("reliability, as a log shows it")
    return figure


def calibrations(table: pl.DataFrame) -> Figure:
    """Mean true value against hidden reward, a line for each policy; on the line R is right on average.

    Args:
        table: `policy`, `reward`, `mean`, `low`, `high`.
    """
    policies = table["policy"].unique(maintain_order=True).to_list()
    entries = [
        (Line2D([], [], color=_colour(policies, name), marker=MARKERS[n], markersize=3), name)
        for n, name in enumerate(policies)
    ]
    with mpl.rc_context(PAPER):
        figure, (axes,) = new_axes(1, 1, 2.3, COLUMN, entries)
        for n, name in enumerate(policies):
            line = table.filter(policy=name)
            spread = [line["mean"] - line["low"], line["high"] - line["mean"]]
            marker: Any = {"color": _colour(policies, name), "marker": MARKERS[n], "markersize": 3}
            axes.errorbar(line["reward"], line["mean"], yerr=spread, linewidth=1.0, elinewidth=0.8, **marker)
        _diagonal(axes)
        axes.set_xlabel("R(λ), the hidden reward of a step")
        axes.set_ylabel("true value V")
    return figure


def _colour(policies: list[str], name: str) -> str:
    return PALETTE[policies.index(name) % len(PALETTE)]


def _diagonal(axes: Axes) -> None:
    axes.axline((0, 0), slope=1, color=REFERENCE, linewidth=0.8, linestyle="--", zorder=1)
