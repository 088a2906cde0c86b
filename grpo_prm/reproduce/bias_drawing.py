"""Figures of the claim about decisions that do not matter."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..figures.style import COLUMN, PALETTE, PAPER, REFERENCE, new_axes
from .drawing import colour

PREFIXES = {"good": PALETTE[2], "bad": PALETTE[1]}
STYLES: Any = ("-", "--", ":")


def lines_by_k(table: pl.DataFrame) -> Figure:
    """Bias against group size, a panel for each prefix.

    Args:
        table: `k`, `prefix`, `method`, `bias`, `low`, `high`; per cent.
    """
    methods = table["method"].unique(maintain_order=True).to_list()
    ks = sorted(table["k"].unique())
    entries = [(Line2D([], [], color=colour(m), marker="o", markersize=3), m) for m in methods]
    with mpl.rc_context(PAPER):
        figure, axes = new_axes(1, 2, 1.95, COLUMN, entries, sharey=True)
        for panel, prefix in zip(axes, PREFIXES, strict=True):
            for method in methods:
                line = table.filter(prefix=prefix, method=method).sort("k")
                spread = [line["bias"] - line["low"], line["high"] - line["bias"]]
                # p = 0 lies under the parent weights: a larger mark shows both.
                marker: Any = {"color": colour(method), "marker": "o", "markersize": 4.5 if method == "p = 0" else 2.5}
                panel.errorbar(line["k"], line["bias"], yerr=spread, linewidth=1.0, elinewidth=0.8, **marker)
            panel.axhline(0, color="black", linewidth=0.6, zorder=1)
            panel.set_xscale("log", base=2)
            panel.set_xticks(ks, [str(k) for k in ks])
            panel.minorticks_off()
            panel.set_xlabel("group size k")
            panel.set_title(f"below {prefix} prefixes")
        axes[0].set_ylabel("bias, % of mean |gradient|")
    return figure


def pull_curves(table: pl.DataFrame) -> Figure:
    """Bias of p = 1 against how likely the common alternative is.

    Args:
        table: `k`, `common`, `prefix`, `bias`, `low`, `high`; per cent.
    """
    ks = sorted(table["k"].unique())
    styles = dict(zip(ks, STYLES, strict=False))
    entries = [
        (Line2D([], [], color=shade, linestyle=styles[k]), f"{prefix}, k = {k}")
        for prefix, shade in PREFIXES.items()
        for k in ks
    ]
    with mpl.rc_context(PAPER):
        figure, (axes,) = new_axes(1, 1, 1.95, COLUMN, entries)
        for prefix, shade in PREFIXES.items():
            for k in ks:
                line = table.filter(prefix=prefix, k=k).sort("common")
                axes.plot(line["common"], line["bias"], color=shade, linestyle=styles[k])
                axes.fill_between(line["common"], line["low"], line["high"], color=shade, alpha=0.18, linewidth=0)
        axes.axhline(0, color="black", linewidth=0.6)
        for y, side, text in ((0.97, "top", "toward the mode"), (0.03, "bottom", "toward uniform")):
            axes.text(0.02, y, text, transform=axes.transAxes, va=side, color=REFERENCE, style="italic")
        axes.set_xlabel("probability of the common alternative")
        axes.set_ylabel("bias at p = 1,\n% of mean |gradient|")
    return figure
