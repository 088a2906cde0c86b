"""Step advantage by where a step begins: where in a completion hidden step rewards are large, and of which sign."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from ..core.interval import FEW_CLUSTERS
from ..text.amounts import amount, listed, number
from .figure import Captioned, LogFigure
from .logs import Logs
from .phrases import by_run, first_and_last, value_range
from .style import BAND, REFERENCE, RUNS_BANDED, Entries, Unit, canvas, colours, run_entries, sentence

BINS, BIN = 16, 25  # most bins over positions, and fewest steps in one; fewer than two bins' worth are drawn one by one
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}
NEAR = 100  # positions up to which 1, 2 and 5 of each power of ten are named, and not the powers alone


def make_table(logs: Logs) -> pl.DataFrame:
    """Quantiles of the step advantage A(λ) by where a step begins: `run, first, last, steps, groups, q05 ... q95`.

    Intermediate steps with a loss token, each once, in groups whose rewards differ. `first` and `last` are the least
    and greatest position (from 1) of the steps in a bin; bins hold about equally many steps, those of one position
    stay together. `groups` is how many groups these steps are of. Of fewer than `2 * BIN` steps in a run each is a row
    of its own.
    """
    steps = (
        logs.process_steps.filter(
            pl.col("size") > 1, pl.col("size") < pl.col("k"), pl.col("tokens") > 0, ~pl.col("zero_variance")
        )
        .select("run", "group", position=pl.col("start") + 1, advantage=pl.col("advantage"))
        .filter(pl.col("advantage").is_not_null() & pl.col("advantage").is_not_nan())
        .sort("run", "position", "advantage")
    )
    ranked = steps.with_columns(total=pl.len().over("run"), rank=pl.int_range(pl.len()).over("run"))
    # Bins of equal count would part the steps of one position, mostly of the first token: each position goes as a whole
    # to the bin of its middle rank.
    bins = pl.min_horizontal(pl.lit(BINS), pl.col("total") // BIN)
    middle = pl.col("rank").mean().over("run", "position") + 0.5
    binned = ranked.with_columns(
        bin=pl.when(bins < 2).then("rank").otherwise((middle / pl.col("total") * bins).floor().cast(pl.Int64))
    )
    advantage = pl.col("advantage")
    return (
        binned.group_by("run", "bin")
        .agg(
            first=pl.col("position").min(),
            last=pl.col("position").max(),
            steps=pl.len().cast(pl.Int64),
            groups=pl.col("group").n_unique().cast(pl.Int64),
            **{name: advantage.quantile(q, "linear") for name, q in QUANTILES.items()},
        )
        .sort("run", "bin")
        .drop("bin")
        .collect()
    )


def advantage_by_position(
    table: pl.DataFrame, ax: Axes | None = None, *, unit: Unit = "token", venue: str = "column"
) -> Axes:
    """Draw the median of A of intermediate process steps by where they begin, with the middle 50 and 90 %.

    Few steps are drawn one by one; of several runs the 90 % band is left out. A bin reaches from the first to the last
    position at which a step of it begins; one with steps of fewer than `FEW_CLUSTERS` groups has its median only.

    Args:
        table: `figure_tables(...)["advantage_by_position"]`: `run`, `first`, `last` (positions from 1, ends of a bin
            included), `steps`, `groups`, `q05`, `q25`, `median`, `q75`, `q95`; a row of one step is that step.
        ax: Where to draw; None makes a figure.
        unit: What positions count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    entries = _entries(table, runs)
    with canvas(ax, venue, (1, 1, 0.62), entries) as (panel,):
        if table.is_empty():
            sentence(panel, "no intermediate process step\nin a group whose rewards differ")
            return panel
        panel.axhline(0, color=REFERENCE, linewidth=0.6, zorder=1)
        for run, colour in colours(runs).items():
            part = table.filter(pl.col("run") == run).sort("first")
            if part["steps"].max() == 1:
                panel.plot(part["first"], part["median"], "o", color=colour, alpha=0.7, gid=run)
            else:
                _draw_bins(panel, part, colour, runs=len(runs), gid=run)
        panel.use_sticky_edges = False  # or the outer band would end on the frame
        panel.autoscale_view()
        _set_positions(panel, int(table["last"].to_numpy().max()))
        panel.set(xlabel=f"position in the completion ({unit}s, from 1)", ylabel="step advantage A(λ)")
    return panel


def _draw_bins(axes: Axes, table: pl.DataFrame, colour: str, *, runs: int, gid: str) -> None:
    edges, bin_of = _extents(table)
    values = {name: _inside(table[name].to_numpy(), bin_of) for name in QUANTILES}
    # Added to a band: NaN, which draws nothing, where a bin has too few groups to say how they are spread.
    sure = _inside(np.where(_banded(table), 0.0, np.nan), bin_of)
    bands = [("q05", "q95")] * (runs == 1) + [("q25", "q75")] * (runs <= RUNS_BANDED)
    for low, high in bands:
        area: Any = {"baseline": values[low] + sure, "fill": True, "color": colour, "alpha": BAND, "linewidth": 0}
        axes.stairs(values[high] + sure, edges, **area)
    axes.stairs(values["median"], edges, baseline=None, color=colour, linewidth=1.2, gid=gid)


def _extents(table: pl.DataFrame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Edges of the bins of a run and of the gaps between them, and the bin in each interval, -1 in a gap."""
    first, last = table["first"].to_numpy(), table["last"].to_numpy()
    edges = np.stack([first, last + 1], axis=1).ravel()
    bin_of = np.stack([np.arange(len(first)), np.full(len(first), -1)], axis=1).ravel()[:-1]
    real = np.diff(edges) > 0  # bins that touch have no gap
    return np.append(edges[:-1][real], edges[-1]), bin_of[real]


def _inside(values: NDArray[np.float64], bin_of: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values of the bins in their intervals, NaN in gaps."""
    return np.where(bin_of < 0, np.nan, values[bin_of])


def _banded(table: pl.DataFrame) -> NDArray[np.bool_]:
    """Bins with steps of enough groups to say how these are spread."""
    return table["groups"].to_numpy() >= FEW_CLUSTERS


def _set_positions(axes: Axes, last: int) -> None:
    """A logarithmic axis from the first position: logs of a hundred tokens and of ten thousand have the same."""
    axes.set_xscale("log")
    axes.set_xlim(0.93, 1.07 * (last + 1))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if last <= NEAR else (1,)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.0f}"))


def _entries(table: pl.DataFrame, runs: list[str]) -> Entries:
    if table.is_empty():
        return []
    binned, colour = table["steps"].to_numpy().max() > 1, colours(runs)[runs[0]]
    banded = binned and _banded(table).any()
    if len(runs) > 1:
        middle = [(Patch(facecolor=REFERENCE, alpha=BAND), "middle 50 %")]
        return run_entries(runs, marked=False) + (middle if banded and len(runs) <= RUNS_BANDED else [])
    if not binned:
        return [(Line2D([], [], color=colour, marker="o", linestyle="none"), "one intermediate step")]
    half = Patch(facecolor=colour, alpha=1 - (1 - BAND) ** 2)  # as dark as two bands over one another
    outer = Patch(facecolor=colour, alpha=BAND)
    bands = [(half, "middle 50 %"), (outer, "middle 90 %")] if banded else []
    return [(Line2D([], [], color=colour), "median"), *bands]


def make_caption(shown: Captioned) -> str:
    """The median of the first and of the last bin of each run."""

    def medians(part: pl.DataFrame) -> str:
        ends = [
            f"{number(row['median'])} at {value_range(row['first'], row['last'])}"
            for row in first_and_last(part.sort("first"))
        ]
        return f"median {listed(ends)} ({amount(int(part['steps'].sum()), 'step')})"

    return (
        f"Step advantage A of intermediate process steps by the position at which they begin, in {shown.unit}s from 1, "
        f"in groups whose rewards differ, each step once; {by_run(shown.table, medians)}{_unbanded(shown.table)}"
    )


def _unbanded(table: pl.DataFrame) -> str:
    """Why bands are missing in places, if they are."""
    banded = _banded(table.filter(pl.col("steps") > 1))
    return f"; no band where fewer than {FEW_CLUSTERS} groups have such a step" if banded.any() > banded.all() else ""


FIGURE = LogFigure("advantage_by_position", make_table, advantage_by_position, make_caption)
