"""What smaller groups would have shown: overlap against the number of completions of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from ..analysis.clusters import CLUSTER
from ..analysis.statistics import STATISTICS
from ..text.amounts import amount
from .figure import Captioned, LogFigure
from .intervals import long_intervals
from .logs import Logs
from .overlap import OVERLAP, overlap_labels
from .phrases import band_note, by_run, by_statistic, known_interval
from .style import (
    BAND,
    LINE,
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

WHOLE: Any = {"marker": "o", "markersize": 6, "fillstyle": "none", "linestyle": "none", "markeredgewidth": 0.9}
TICKS = 6  # most labelled sizes


def make_table(logs: Logs) -> pl.DataFrame:
    """Mean overlap over groups for each number of completions, exact over the subsets of each group.

    Groups of several sizes: a number of completions has only the groups with as many or more, `groups` of them; of
    `whole` groups these are all.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (path_depth, intermediate_proportion), `size`, `mean`, `low`, `high` (95 %, over problems;
        null below 20 of them), `n` (problems), `groups`, `whole`.
    """
    rows: list[tuple] = []
    every = logs.subsamples.lazy().select(*CLUSTER, "size", "k", *OVERLAP).collect()
    for (run,), part in every.group_by("run", maintain_order=True):
        sizes = part["size"].unique().sort().to_list()
        counts = {
            size: (groups, whole)
            for size, groups, whole in part.group_by("size")
            .agg(pl.len(), whole=(pl.col("k") == pl.col("size")).sum())
            .iter_rows()
        }
        column = np.searchsorted(sizes, part["size"].to_numpy())
        for statistic in OVERLAP:
            values = part[statistic].cast(pl.Float64).to_numpy()
            known = ~np.isnan(values)  # a group without a loss token has no proportion, and no say
            some = part.filter(known).select(CLUSTER)
            intervals = long_intervals(values[known], np.ones(len(some)), column[known], len(sizes), some, logs.seed)
            rows += [(run, statistic, size, *intervals[n], *counts[size]) for n, size in enumerate(sizes)]
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    ints = dict.fromkeys(("n", "groups", "whole"), pl.Int64)
    schema = {"run": pl.String, "statistic": pl.String, "size": pl.Int64, **floats, **ints}
    return pl.DataFrame(rows, schema, orient="row").filter(pl.col("mean").is_not_null())


def overlap_by_k(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw path depth and intermediate proportion against the number of completions, on a logarithmic axis.

    Below the size of the groups a point is the mean over all subsets of each group; a ring marks groups as they are.
    Bands are 95 % intervals over problems.

    Args:
        table: `figure_tables(...)["overlap_by_k"]`: `run`, `statistic`, `size`, `mean`, `low`, `high`, `groups`,
            `whole`.
        ax: Two axes to draw on; None makes a figure.
        unit: What the statistics count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    with canvas(ax, venue, (1, 2, 0.6), _entries(table, runs)) as panels:
        for panel, (statistic, label) in zip(panels, overlap_labels(unit, "\n").items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, f"no {STATISTICS[statistic].label}\nin this log")
                continue
            for run in runs:
                _draw(panel, part.filter(run=run).sort("size"), run, runs)
            _set_sizes(panel, part["size"].unique().sort().to_list())
            panel.set_title(label)
            panel.set_xlabel("completions k")
            if STATISTICS[statistic].share:
                percent(panel.yaxis)
        from_zero(panels)
    return panels


def _draw(axes: Axes, table: pl.DataFrame, run: str, runs: list[str]) -> None:
    colour, size = colours(runs)[run], table["size"].to_numpy()
    mean, low, high = (table[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
    axes.plot(size, mean, color=colour, marker=markers(runs)[run], gid=run, zorder=3)
    if len(runs) <= RUNS_BANDED:
        axes.fill_between(size, low, high, color=colour, alpha=BAND, linewidth=0)
    # A ring only where no larger group stands behind the point: there the mean is of groups as they are.
    whole = (table["whole"] == table["groups"]).to_numpy()
    axes.plot(size[whole], mean[whole], color=colour, gid=f"{run}/whole", zorder=4, **WHOLE)


def _set_sizes(axes: Axes, sizes: list[int]) -> None:
    """A logarithmic axis whose ticks are some of the sizes, the largest among them."""
    axes.set_xscale("log", base=2)
    # A power of two close to the largest size would have its label on that of the largest.
    powers = [size for size in sizes if size & (size - 1) == 0 and 4 * size < 3 * sizes[-1]]
    ticks = [*powers[:: -(-len(powers) // (TICKS - 1)) or 1], sizes[-1]]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:.0f}"))
    if len(sizes) == 1:
        axes.set_xlim(sizes[0] / 1.5, sizes[0] * 1.5)


def _entries(table: pl.DataFrame, runs: list[str]) -> Entries:
    if table.is_empty():
        return []
    several = len(runs) > 1
    colour = REFERENCE if several else colours(runs)[runs[0]]
    banded = [Patch(facecolor=colour, alpha=BAND)] if table["low"].count() and len(runs) <= RUNS_BANDED else []
    line = Line2D([], [], color=colour, marker="" if several else "o", **LINE)
    kinds: Entries = [
        ((*banded, line), "subsets of each group"),
        (Line2D([], [], color=colour, **WHOLE), "whole groups"),
    ]
    return [*(run_entries(runs) if several else []), *kinds]


def make_caption(shown: Captioned) -> str:
    """Both statistics at four completions, or fewer where there are no more, and at the largest size."""

    def value(row: dict[str, Any], share: bool) -> str:
        return f"{known_interval(row, share=share)} at k = {row['size']} ({amount(row['groups'], 'group')})"

    most = pl.col("size").max().over("run", "statistic")
    from_four = shown.table.filter(pl.col("size") >= pl.min_horizontal(most, 4))
    return (
        f"Overlap of {shown.unit}s to be expected if each group had only k of its completions; "
        f"{by_run(from_four, lambda part: by_statistic(part, 'size', value))}; {band_note(shown.table)}"
    )


FIGURE = LogFigure("overlap_by_k", make_table, overlap_by_k, make_caption)
