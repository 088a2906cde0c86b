"""Contest and certain share by depth in the tree: where members disagree, and where step rewards are sure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..core.interval import FEW_CLUSTERS
from .style import (
    BAND,
    REFERENCE,
    RUNS_BANDED,
    Entries,
    Unit,
    canvas,
    colours,
    from_zero,
    markers,
    percent,
    run_entries,
    sentence,
)

TITLES = {"contest": "contest (1: a draw)", "certain_share": "certain share"}
EMPTY = {
    "contest": "no intermediate {unit}\nin a group of\nmixed reward",
    "certain_share": "no certain share:\nno intermediate {unit},\nno rewards, or two rewards\nand k of 5 or less",
}


def contest_by_depth(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw contest and certain share of intermediate steps by their depth; bands are 95 % intervals over prompts.

    Args:
        table: `figure_tables(...)["contest_by_depth"]`: `run`, `statistic`, `depth`, `last`, `mean`, `low`, `high`; a
            row of several depths is the rest of the tree.
        ax: Two axes to draw on; None makes a figure.
        unit: What the means are over.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    with canvas(ax, venue, (1, 2, 0.58), _entries(table, runs)) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, EMPTY[statistic].format(unit=unit))
                continue
            for run in runs:
                _draw(panel, part.filter(run=run).sort("depth"), run, runs)
            _set_depths(panel, part)
            panel.set_title(title)
            panel.set_xlabel("branchings above")
            if statistic == "certain_share":
                percent(panel.yaxis)
        panels[0].set_ylabel(f"of intermediate {unit}s")
        from_zero(panels)
    return panels


def _entries(table: pl.DataFrame, runs: list[str]) -> Entries:
    """The runs, if there are several, and why a band is missing in places, if it is."""
    several = run_entries(runs) if len(runs) > 1 else []
    gaps = len(runs) <= RUNS_BANDED and 0 < table["low"].null_count() < len(table)
    return [*several, *([(Line2D([], [], linestyle="none"), f"no band: < {FEW_CLUSTERS} prompts")] if gaps else [])]


def _draw(axes: Axes, table: pl.DataFrame, run: str, runs: list[str]) -> None:
    colour, depth = colours(runs)[run], table["depth"].to_numpy()
    mean, low, high = (table[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
    axes.plot(depth, mean, color=colour, marker=markers(runs)[run], gid=run, zorder=3)
    if len(runs) <= RUNS_BANDED:
        axes.fill_between(depth, low, high, color=colour, alpha=BAND, linewidth=0)
        sure = np.isfinite(low)
        alone = sure & ~np.append(False, sure[:-1]) & ~np.append(sure[1:], False)
        axes.vlines(depth[alone], low[alone], high[alone], color=colour, linewidth=0.8)


def _set_depths(axes: Axes, table: pl.DataFrame) -> None:
    """Ticks at whole depths; that of a pooled row says so."""
    depths = table["depth"].unique().sort().to_list()
    pooled = table.filter(pl.col("last") > pl.col("depth"))["depth"].min()
    ticks = [int(tick) for tick in MaxNLocator(nbins=5, integer=True).tick_values(depths[0], depths[-1])]
    ticks = [tick for tick in ticks if depths[0] <= tick <= depths[-1]]
    if isinstance(pooled, int):
        ticks = [tick for tick in ticks if pooled - tick > 0.15 * (pooled - depths[0])] + [pooled]
        axes.axvline(pooled - 0.5, color=REFERENCE, linewidth=0.5, linestyle=":")
    axes.set_xticks(ticks, [f"{tick}+" if tick == pooled else f"{tick}" for tick in ticks])
    if len(depths) == 1:
        axes.set_xlim(depths[0] - 1, depths[0] + 1)
