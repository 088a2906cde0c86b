"""How overlap is spread over groups: distribution functions, beside those of cross-prompt pseudo-groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..analysis.statistics import STATISTICS
from .figure import Captioned, LogFigure
from .logs import Logs
from .over_training import BASELINE, OBSERVED
from .overlap import OVERLAP, SERIES, overlap_labels, overlap_means
from .series import colour_of, dash
from .style import REFERENCE, Entries, Unit, canvas, markers, percent, run_entries, sentence

CURVE = 256  # most points of a distribution curve
MARKED = 6  # points of a curve that carry the marker of its run


def make_table(logs: Logs) -> pl.DataFrame:
    """Distribution functions over groups: `run, statistic, series, value, share, n`.

    Share of the `n` groups with at most `value`; each curve opens with share 0 at its least value. More than `CURVE`
    different values are thinned to about as many, evenly by share.
    """
    parts = [
        _distribution(frame, statistic, series)
        for statistic in OVERLAP
        for series, frame in ((OBSERVED, logs.groups), (BASELINE, logs.baseline))
    ]
    return pl.concat(parts)


def _distribution(frame: pl.LazyFrame, statistic: str, series: str) -> pl.DataFrame:
    counts = (
        frame.lazy()
        .select("run", value=pl.col(statistic).cast(pl.Float64))
        .drop_nulls("value")
        .group_by("run", "value")
        .len("groups")
        .sort("run", "value")
        .with_columns(n=pl.col("groups").sum().over("run"), to=pl.col("groups").cum_sum().over("run"))
        .with_columns(share=pl.col("to") / pl.col("n"), bin=(CURVE * pl.col("to")) // pl.col("n"))
    )
    # Of each bin of shares the last point stays: every point that is drawn lies on the exact curve.
    thinned = counts.filter((pl.col("bin") != pl.col("bin").shift(-1).over("run")).fill_null(value=True))
    opening = counts.group_by("run", maintain_order=True).first().with_columns(share=pl.lit(0.0))
    both = pl.concat([opening, thinned]).with_columns(
        pl.col("n").cast(pl.Int64), statistic=pl.lit(statistic), series=pl.lit(series)
    )
    columns = ("run", "statistic", "series", "value", "share", "n")
    return both.sort("run", "share").select(columns).collect()


def overlap_over_groups(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw which share of the groups has at most so much overlap, beside the cross-prompt pseudo-groups.

    Args:
        table: `figure_tables(...)["overlap_over_groups"]`: `run`, `statistic`, `series`, `value`, `share`; a step
            function for each run, statistic and series, with its rows in order.
        ax: Two axes to draw on; None makes a figure.
        unit: What the statistics count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    entries = _entries(table, runs)
    with canvas(ax, venue, (1, 2, 0.6), entries, sharey=True) as panels:
        for panel, (statistic, label) in zip(panels, overlap_labels(unit, "\n").items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, f"no {STATISTICS[statistic].label}\nin this log")
                continue
            for (run, series), curve in part.group_by("run", "series", maintain_order=True):
                line: Any = {"color": colour_of(runs, run, series), "linestyle": dash(series), "gid": f"{run}/{series}"}
                if len(runs) > 1:
                    line |= {"marker": markers(runs)[run], "markevery": -(-len(curve) // MARKED)}
                # `post`: the share holds from its value on. Not clipped, or half of a line at 0 or 1 would be cut off.
                panel.step(curve["value"], curve["share"], where="post", clip_on=False, zorder=3, **line)
            panel.set(xlabel=label, ylim=(0, 1), xlim=(0, max(1.05 * part["value"].to_numpy().max(), 1e-3)))
            percent(panel.yaxis)
            if STATISTICS[statistic].share:
                percent(panel.xaxis)
        panels[0].set_ylabel("groups with at most this")
    return panels


def _entries(table: pl.DataFrame, runs: list[str]) -> Entries:
    """The series of one run; of several the runs, and the line style of each series."""
    alone = len(runs) == 1
    styles = [
        (
            Line2D([], [], color=colour_of(runs, runs[0], name) if alone else REFERENCE, linestyle=dash(name)),
            SERIES[name],
        )
        for name in SERIES
        if name in table["series"]
    ]
    return styles if alone else run_entries(runs) + styles


def make_caption(shown: Captioned) -> str:
    """What the curves are, and both means of each log."""
    return (
        "Share of the groups whose overlap is at most the value on the axis, beside pseudo-groups of different "
        f"prompts; mean {overlap_means(shown.summaries, shown.unit)}"
    )


FIGURE = LogFigure("overlap_over_groups", make_table, overlap_over_groups, make_caption)
