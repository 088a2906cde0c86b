"""Amplification and update scale by the size of the process set: where the count of |λ| falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .style import (
    MARKERS,
    PALETTE,
    REFERENCE,
    Entries,
    Unit,
    canvas,
    colours,
    from_zero,
    percent,
    run_entries,
    sentence,
)

TITLES = {"amplification": "amplification", "update_scale": "update scale s(p)"}
DASHES = ("-", "--", ":")  # of p, in order
TICKS = 6  # most labelled sizes


def update_by_size(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw what each size |λ| adds to the amplification and to the update scale, under p = 0, 0.5 and 1.

    The points of a line add up to the figure of the log: left to the amplification for p = 0 and to 1 for p = 1, right
    to s(p). Sizes that no step has are 0.

    Args:
        table: `figure_tables(...)["update_by_size"]`: `run`, `statistic`, `p`, `first`, `last`, `value`.
        ax: Two axes to draw on; None makes a figure.
        unit: What is counted.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    powers = table["p"].unique().sort().to_list()
    bins = _bins(table)
    with canvas(ax, venue, (1, 2, 0.6), _entries(runs, powers)) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, f"no {statistic.replace('_', ' ')}\nin this log")
                continue
            for run in runs:
                for n, p in enumerate(powers):
                    line = part.filter(run=run, p=p)
                    values = np.zeros(len(bins))
                    values[[bins.index(at) for at in line.select("first", "last").iter_rows()]] = line["value"]
                    panel.plot(values, gid=f"{run}/{p:g}", **_look(runs, run, n))
            at = _ticks(bins)
            panel.set_xticks(at, [_label(*bins[n]) for n in at])
            panel.set_xlabel("set size |λ|")
            panel.set_title(title)
            if statistic == "update_scale":
                percent(panel.yaxis)
        panels[0].set_ylabel(f"{unit}s of a size add")
        from_zero(panels)
    return panels


def _bins(table: pl.DataFrame) -> list[tuple[int, int]]:
    """All bins of sizes in order; sizes that no step has stand between those of single sizes too."""
    bins = sorted(table.select("first", "last").unique().iter_rows())
    if all(first == last for first, last in bins) and bins:
        return [(size, size) for size in range(1, bins[-1][1] + 1)]
    return bins


def _ticks(bins: list[tuple[int, int]]) -> list[int]:
    """Which bins are labelled: powers of two of single sizes, else some."""
    if all(first == last for first, last in bins):
        return [n for n, (size, _) in enumerate(bins) if size & (size - 1) == 0]
    return list(range(0, len(bins), -(-len(bins) // TICKS)))


def _label(first: int, last: int) -> str:
    return f"{first}" if first == last else f"{first}-{last}"


def _look(runs: list[str], run: str, n: int) -> dict[str, Any]:
    """One run: a colour and marker for each p; several: the run's colour, a line style for each p."""
    colour = PALETTE[n] if len(runs) == 1 else colours(runs)[run]
    return {"color": colour, "linestyle": DASHES[n % 3], "marker": MARKERS[n], "markersize": 2.5, "linewidth": 1.0}


def _entries(runs: list[str], powers: list[float]) -> Entries:
    if not runs:
        return []
    names = [f"p = {p:g}" + (" (GRPO)" if p == 0 else "") for p in powers]
    looks: list[dict[str, Any]] = [
        _look(runs, runs[0], n) | ({"color": REFERENCE} if len(runs) > 1 else {}) for n in range(len(powers))
    ]
    kinds: Entries = [(Line2D([], [], **look), name) for look, name in zip(looks, names, strict=True)]
    return [*(run_entries(runs, marked=False) if len(runs) > 1 else []), *kinds]
