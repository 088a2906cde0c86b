"""What the claims' figures have in common: intervals in a row, curves over steps, bars by decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ..figures.style import BAND, COLUMN, PALETTE, PAPER, REFERENCE, new_axes

METHOD_COLOURS = {
    "p = 0": PALETTE[0],
    "p = 0.5": PALETTE[5],
    "p = 1": PALETTE[1],
    "parent": PALETTE[2],
    "scale-matched": PALETTE[4],
    "norm-matched": PALETTE[3],
    "position": PALETTE[6],
}


def colour(method: str) -> str:
    """The same colour for a method in every figure."""
    return METHOD_COLOURS.get(method, REFERENCE)


def change_bars(table: pl.DataFrame) -> Figure:
    """Bars of a change by decision, methods side by side.

    Args:
        table: `method`, `decision` (0: their sum), `change`, `error`.
    """
    methods, decisions = table["method"].unique(maintain_order=True).to_list(), sorted(table["decision"].unique())
    entries = [(Patch(color=colour(method)), method) for method in methods]
    with mpl.rc_context(PAPER):
        figure, (axes,) = new_axes(1, 1, 1.9, COLUMN, entries)
        wide = 0.8 / len(methods)
        for n, method in enumerate(methods):
            part = table.filter(method=method).sort("decision")
            x = np.arange(len(decisions)) + (n - (len(methods) - 1) / 2) * wide
            axes.bar(x, part["change"], wide, color=colour(method), zorder=2)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xticks(range(len(decisions)), [f"decision {d}" if d else "all" for d in decisions])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("change of log π(target)")
    return figure


def interval_rows(table: pl.DataFrame, label: str, *, panels: str = "panel") -> Figure:
    """Means with intervals, one row each, a panel for each part; a line at 0.

    Args:
        table: `panel`, `row`, `method`, `mean`, `low`, `high`; rows of a panel in order, methods of a row side by side.
        label: Of the axis of values.
        panels: Column that parts the panels.
    """
    names = table[panels].unique(maintain_order=True).to_list()
    methods = table["method"].unique(maintain_order=True).to_list()
    entries = [(Line2D([], [], color=colour(m), marker="o", markersize=3), m) for m in methods]
    longest = max(table.filter(pl.col(panels) == name)["row"].n_unique() for name in names)
    with mpl.rc_context(PAPER):
        height = (0.25 + 0.085 * longest * max(2, len(methods))) * len(names)
        figure, axes = new_axes(len(names), 1, height, COLUMN, entries, sharex=True)
        for panel, name in zip(axes, names, strict=True):
            _rows(panel, table.filter(pl.col(panels) == name), methods)
            panel.set_title(name)
        axes[-1].set_xlabel(label)
    return figure


def _rows(axes: Axes, table: pl.DataFrame, methods: Sequence[str]) -> None:
    rows = table["row"].unique(maintain_order=True).to_list()
    for n, method in enumerate(methods):
        part = table.filter(method=method)
        y = np.array([rows.index(row) for row in part["row"]]) + 0.7 * ((n + 0.5) / len(methods) - 0.5)
        mean, low, high = (part[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
        bars = np.nan_to_num(np.stack([mean - low, high - mean])).clip(min=0)
        look: Any = {"color": colour(method), "markersize": 2.5, "elinewidth": 0.9, "linewidth": 0}
        axes.errorbar(mean, y, xerr=bars, fmt="o", **look)
    axes.axvline(0, color="black", linewidth=0.6)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def curves(table: pl.DataFrame, label: str, *, columns: int = 2, height: float = 1.25, percent: bool = False) -> Figure:
    """Mean curves over steps with bands, a panel for each part, a line for each method.

    Args:
        table: `panel`, `method`, `step`, `mean`, `low`, `high`.
        label: Of the axis of values, on the left panels.
        columns: Panels side by side.
        height: Inches of a row of panels.
        percent: Write values as percent.
    """
    from ..figures.style import percent as as_percent

    names = table["panel"].unique(maintain_order=True).to_list()
    methods = table["method"].unique(maintain_order=True).to_list()
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    entries = _lines(methods)
    with mpl.rc_context(PAPER):
        width = COLUMN if columns == 1 else 2.1 * columns
        figure, axes = new_axes(rows, columns, height * rows + 0.25, width, entries)
        for at, (panel, name) in enumerate(zip(axes, names, strict=False)):
            part = table.filter(panel=name)
            for method in methods:
                line = part.filter(method=method).sort("step")
                x, mean, low, high = (line[c].cast(pl.Float64).to_numpy() for c in ("step", "mean", "low", "high"))
                panel.plot(x, mean, color=colour(method), linewidth=1.0)
                panel.fill_between(x, low, high, color=colour(method), alpha=BAND, linewidth=0)
            panel.set_title(name)
            if at % columns == 0:
                panel.set_ylabel(label)
            if at >= len(names) - columns:
                panel.set_xlabel("training step")
            if percent:
                as_percent(panel.yaxis)
        for panel in axes[len(names) :]:
            panel.set_axis_off()
    return figure


def rate_curves(table: pl.DataFrame, label: str) -> Figure:
    """Score against learning rate, a panel for each part, a line for each method.

    Args:
        table: `panel`, `method`, `rate`, `score`.
        label: Of the score.
    """
    names = table["panel"].unique(maintain_order=True).to_list()
    methods = table["method"].unique(maintain_order=True).to_list()
    columns = min(2, len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context(PAPER):
        width = COLUMN if columns == 1 else 2.1 * columns
        figure, axes = new_axes(rows, columns, 1.25 * rows + 0.25, width, _lines(methods))
        for at, (panel, name) in enumerate(zip(axes, names, strict=False)):
            for method in methods:
                line = table.filter(panel=name, method=method).sort("rate")
                panel.plot(line["rate"], line["score"], color=colour(method), marker="o", linewidth=1.0)
            panel.set_xscale("log")
            panel.set_title(name)
            if at % columns == 0:
                panel.set_ylabel(label)
            if at >= len(names) - columns:
                panel.set_xlabel("learning rate")
        for panel in axes[len(names) :]:
            panel.set_axis_off()
    return figure


def _lines(methods: Sequence[str]) -> list[tuple[Any, str]]:
    return [(Line2D([], [], color=colour(method)), method) for method in methods]
