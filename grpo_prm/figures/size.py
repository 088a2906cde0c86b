"""Amplification and update scale by the size of the process set: where the count of |λ| falls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

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
TICKS = 4  # most labelled bins
UNEVEN = 50  # times the middle value that the greatest may be before the axis is logarithmic


def update_by_size(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw what each size |λ| adds to the amplification and to the update scale, under p = 0, 0.5 and 1.

    The points of a line add up to the figure of the log: left to the amplification for p = 0 and to 1 for p = 1, right
    to s(p). Where one size outdoes the others by far the axis is logarithmic. Of several runs p = 0.5 is left out.

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
    powers = powers if len(runs) == 1 else [powers[0], powers[-1]] if powers else []
    with canvas(ax, venue, (1, 2, 0.6), _entries(runs, powers)) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(pl.col("p").is_in(powers), statistic=statistic).sort("first")
            if part.is_empty():
                sentence(panel, f"no {statistic.replace('_', ' ')}\nin this log")
                continue
            for run, (n, p) in product(runs, enumerate(powers)):
                line = part.filter(run=run, p=p)
                y = line["value"].to_numpy()
                y = np.where(y > 0, y, np.nan) if _uneven(part) else y
                panel.plot(_middle(line), y, gid=f"{run}/{p:g}", **_look(runs, run, n))
            _set_axes(panel, part)
            panel.set_title(title)
            if statistic == "update_scale":
                percent(panel.yaxis)
        panels[0].set_ylabel(f"{unit}s of a size add")
        from_zero([panel for panel in panels if panel.get_yscale() == "linear"])
    return panels


def _middle(table: pl.DataFrame) -> np.ndarray:
    """Where a bin of sizes stands on a logarithmic axis."""
    return np.sqrt(table["first"].to_numpy() * table["last"].to_numpy())


def _uneven(table: pl.DataFrame) -> bool:
    """Whether one value outdoes the others by far."""
    values = table.filter(pl.col("value") > 0)["value"].to_numpy()
    return len(values) > 0 and values.max() > UNEVEN * np.median(values)


def _set_axes(axes: Axes, table: pl.DataFrame) -> None:
    """A logarithmic axis of sizes with ticks at powers of two, or at some bins; one of values where these need it."""
    bins = sorted(table.select("first", "last").unique().iter_rows())
    single = all(first == last for first, last in bins)
    chosen = [at for at in bins if at[0] & (at[0] - 1) == 0] if single else bins[:: -(-len(bins) // TICKS)]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_minor_locator(NullLocator())
    labels = [f"{first}" if first == last else f"{first}-{last}" for first, last in chosen]
    axes.set_xticks([(first * last) ** 0.5 for first, last in chosen], labels)
    axes.set_xlabel("set size |λ|")
    if len(bins) == 1:
        axes.set_xlim(bins[0][0] / 2, bins[0][1] * 2)
    if _uneven(table):
        axes.set_yscale("log")


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
