"""The paper's figure: path depth and intermediate proportion over training, beside groups of different prompts."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from ..analysis.statistics import STATISTICS
from .figure import Captioned, LogFigure
from .logs import Logs
from .over_training import BASELINE, over_training
from .overlap import OVERLAP, SERIES, overlap_labels, overlap_means
from .phrases import band_note, steps_covered
from .series import draw_series, has_course, known, observed_in_bars, series_entries
from .style import Unit, canvas, from_zero, percent


def make_table(logs: Logs) -> pl.DataFrame:
    """Path depth and intermediate proportion by step, `observed` and `baseline`: columns as of `over_training`."""
    return over_training(logs, OVERLAP, BASELINE)


def overlap_over_training(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw path depth and intermediate proportion against the training step, the cross-prompt baseline dashed.

    The paper's overlap figure, with 95 % intervals as bands. A log of one step gives points with bars.

    Args:
        table: `figure_tables(...)["overlap_over_training"]`: `run`, `step`, `statistic`, `series` (`observed` or
            `baseline`), `mean`, `low`, `high`.
        ax: Two axes to draw on; None makes a figure.
        unit: What the statistics count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes, one below the other or side by side. Nothing is saved, and no matplotlib state is left changed.
    """
    runs = table["run"].unique().sort().to_list()
    table = known(table)
    course, barred = has_course(table), observed_in_bars(table)
    entries = series_entries(table, runs, SERIES)
    shape = (2, 1, 0.85) if course else (1, 2, 0.6)  # a course needs the whole width, points do not
    labels = overlap_labels(unit, " " if course else "\n")
    with canvas(ax, venue, shape, entries, sharex=course) as panels:
        for panel, (statistic, label) in zip(panels, labels.items(), strict=True):
            part = table.filter(statistic=statistic)
            empty = f"no {STATISTICS[statistic].label}\nin this log"
            draw_series(panel, part, runs, SERIES, course=course, empty=empty, barred=barred)
            panel.set_title(label)
            if STATISTICS[statistic].share:
                percent(panel.yaxis)
        if course and ax is None:
            panels[0].set_xlabel("")
        from_zero(panels)
    return panels


def make_caption(shown: Captioned) -> str:
    """Which steps, and both means of each log beside those of different prompts."""
    return (
        f"Path depth and intermediate proportion of {shown.unit}s {steps_covered(shown.table)}; over all "
        f"{overlap_means(shown.summaries, shown.unit)}; {band_note(shown.table)}"
    )


FIGURE = LogFigure("overlap_over_training", make_table, overlap_over_training, make_caption)
