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
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from ..figures.letters import plain
from ..figures.style import BAND, COLUMN, PALETTE, PAPER, REFERENCE, new_axes

MOST_COLUMNS = 3  # panels side by side
BANDED = ("p = 0", "p = 1")  # methods with bands where seven would hide each other
METHOD_COLOURS = {
    "p = 0": PALETTE[0],
    "p = 0.5": PALETTE[5],
    "p = 1": PALETTE[1],
    "parent": PALETTE[2],
    "scale-matched": PALETTE[4],
    "norm-matched": PALETTE[3],
    "position": PALETTE[6],
    "groups": PALETTE[0],
    "λ-GRPO": PALETTE[1],
    "in time": PALETTE[0],
    "sorted": PALETTE[1],
}
STATISTICS = {  # short enough for an axis
    "intermediate_proportion": "intermediate",
    "path_depth": "path depth",
    "update_scale_1": "scale, p = 1",
    "update_cosine_1": "cosine, p = 1",
    "grad_norm": "grad norm",
}


def _columns(panels: int) -> int:
    """Panels side by side: no row that is nearly empty."""
    return 2 if panels == 4 else min(MOST_COLUMNS, panels)


def colour(method: str) -> str:
    """The same colour for a method in every figure; of a difference that of what is subtracted, or what is new."""
    # `p = 1 - CONTROL` has the colour of the control, `METHOD - p = 0` that of the method: the other side is the same.
    one, _, other = method.partition(" - ")
    return METHOD_COLOURS.get(other if one == "p = 1" and other else one, REFERENCE)


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
            bars = table.filter(method=method).sort("decision")
            x = np.arange(len(decisions)) + (n - (len(methods) - 1) / 2) * wide
            axes.bar(x, bars["change"], wide, color=colour(method), zorder=2)
        axes.axhline(0, color="black", linewidth=0.6)
        axes.set_xticks(range(len(decisions)), [f"decision {d}" if d else "all" for d in decisions])
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("change of log π(target)")
    return figure


def interval_rows(table: pl.DataFrame, label: str, *, zero: bool = False, share: bool = False) -> Figure:
    """Means with intervals, a row for each setting, a panel beside the other for each part.

    Args:
        table: `panel`, `row`, `method`, `mean`, `low`, `high`; the methods of a row one below the other.
        label: Of the axis of values.
        zero: Draw a line at 0.
        share: All panels go from 0 to 1.
    """
    names, rows, methods = (table[c].unique(maintain_order=True).to_list() for c in ("panel", "row", "method"))
    entries = [(Line2D([], [], color=colour(m), marker="o", markersize=3), m) for m in methods]
    with mpl.rc_context(PAPER):
        columns = _columns(len(names))
        lines = -(-len(names) // columns)
        width = max(COLUMN, 1.2 + 1.7 * columns)
        height = lines * (0.5 + max(0.8, 0.07 * len(rows) * (len(methods) + 1)))
        figure, axes = new_axes(lines, columns, height, width, entries, sharey=True)
        for panel in axes[len(names) :]:
            panel.set_axis_off()
        for panel, name in zip(axes, names, strict=False):
            _rows(panel, table.filter(panel=name), rows, methods)
            if zero:
                panel.axvline(0, color="black", linewidth=0.6)
            if share:
                panel.set_xlim(-0.02, 1.02)
            panel.set_title(plain(name))
            panel.set_xlabel(label)
            panel.xaxis.set_major_locator(FixedLocator([0, 0.25, 0.5, 0.75, 1]) if share else MaxNLocator(4))
    return figure


def _rows(axes: Axes, table: pl.DataFrame, rows: Sequence[str], methods: Sequence[str]) -> None:
    for n, method in enumerate(methods):
        own = table.filter(method=method)
        # Methods side by side inside .8 of the height of a row.
        y = np.array([rows.index(row) for row in own["row"]]) + 0.8 * ((n + 0.5) / len(methods) - 0.5)
        mean, low, high = (own[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
        # Without an interval low and high are NaN: a bar of length 0.
        bars = np.nan_to_num(np.stack([mean - low, high - mean])).clip(min=0)
        marker: Any = {"color": colour(method), "markersize": 2.5, "elinewidth": 0.9, "linewidth": 0}
        axes.errorbar(mean, y, xerr=bars, fmt="o", **marker)
    for between in range(1, len(rows)):
        axes.axhline(between - 0.5, color="0.9", linewidth=0.5)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(visible=False, axis="y")


def curves(table: pl.DataFrame, label: str, *, percent: bool = False) -> Figure:
    """Mean curves of shares over steps with bands, a panel for each part, a line for each method.

    Args:
        table: `panel`, `method`, `step`, `mean`, `low`, `high`.
        label: Of the axis of values, on the left panels.
        percent: Write values as percent.
    """
    from ..figures.style import percent as as_percent

    names = table["panel"].unique(maintain_order=True).to_list()
    methods = table["method"].unique(maintain_order=True).to_list()
    columns = _columns(len(names))
    rows = -(-len(names) // columns)
    entries = _lines(methods)
    with mpl.rc_context(PAPER):
        width = COLUMN if columns == 1 else 2.25 * columns
        figure, axes = new_axes(rows, columns, 1.25 * rows + 0.25, width, entries)
        for at, (panel, name) in enumerate(zip(axes, names, strict=False)):
            lines = table.filter(panel=name)
            for method in methods:
                _curve(panel, lines.filter(method=method), method)
            panel.set_title(plain(name))
            if at % columns == 0:
                panel.set_ylabel(label)
            if at >= len(names) - columns:
                panel.set_xlabel("training step")
            low, high = panel.get_ylim()
            panel.set_ylim(max(low, -0.02), min(high, 1.02))  # shares: a band may reach beyond 0 and 1
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
    columns = _columns(len(names))
    rows = -(-len(names) // columns)
    with mpl.rc_context(PAPER):
        width = COLUMN if columns == 1 else 2.25 * columns
        figure, axes = new_axes(rows, columns, 1.25 * rows + 0.25, width, _lines(methods))
        for at, (panel, name) in enumerate(zip(axes, names, strict=False)):
            for method in methods:
                line = table.filter(panel=name, method=method).sort("rate")
                panel.plot(line["rate"], line["score"], color=colour(method), marker="o", linewidth=1.0)
            panel.set_xscale("log")
            rates = table.filter(panel=name)["rate"].unique().sort().to_list()
            # Ticks at rates that were tried, at most four: on a log axis others would be read as tried.
            panel.xaxis.set_major_locator(FixedLocator(rates[:: -(-len(rates) // 4)]))
            panel.xaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
            panel.xaxis.set_minor_locator(NullLocator())
            panel.set_title(plain(name))
            if at % columns == 0:
                panel.set_ylabel(label)
            if at >= len(names) - columns:
                panel.set_xlabel("learning rate")
        for panel in axes[len(names) :]:
            panel.set_axis_off()
    return figure


def _lines(methods: Sequence[str]) -> list[tuple[Any, str]]:
    return [(Line2D([], [], color=colour(method)), method) for method in methods]


def curve_grid(table: pl.DataFrame, x: str = "training step") -> Figure:
    """Mean curves with bands: a row for each statistic, a column for each part.

    Args:
        table: `panel`, `statistic`, `method`, `step`, `mean`, `low`, `high`.
        x: Label of the axis of steps.
    """
    names, statistics, methods = (
        table[c].unique(maintain_order=True).to_list() for c in ("panel", "statistic", "method")
    )
    with mpl.rc_context(PAPER):
        width = max(COLUMN, 0.5 + 2.0 * len(names))
        figure, axes = new_axes(
            len(statistics), len(names), 0.85 * len(statistics) + 0.4, width, _lines(methods), sharex="col"
        )
        for at, panel in enumerate(axes):
            statistic, name = statistics[at // len(names)], names[at % len(names)]
            lines = table.filter(panel=name, statistic=statistic)
            for method in methods:
                _curve(panel, lines.filter(method=method), method, band=method in BANDED)
            if at < len(names):
                panel.set_title(plain(name))
            if at % len(names) == 0:
                panel.set_ylabel(STATISTICS.get(statistic, statistic))
            if at >= len(axes) - len(names):
                panel.set_xlabel(x)
        figure.align_ylabels()
    return figure


def _curve(axes: Axes, line: pl.DataFrame, method: str, *, band: bool = True) -> None:
    x, mean, low, high = (line.sort("step")[c].cast(pl.Float64).to_numpy() for c in ("step", "mean", "low", "high"))
    axes.plot(x, mean, color=colour(method), linewidth=1.0)
    if band:
        axes.fill_between(x, low, high, color=colour(method), alpha=BAND, linewidth=0)
