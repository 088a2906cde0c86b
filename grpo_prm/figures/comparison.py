"""Two or more runs beside each other: a panel for each statistic, the runs overlaid."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from ..analysis.statistics import STATISTICS
from .over_training import OBSERVED
from .series import draw_series, has_course, known, observed_in_bars
from .style import Unit, canvas, from_zero, percent, run_entries, sentence

SERIES = {OBSERVED: "observed"}
TITLES = {"intermediate_proportion": "intermediate {unit}s"}  # others by their label
NEGATIVE = ("reward",)  # may be


def run_comparison(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw statistics of several runs over training, a panel for each, with 95 % intervals as bands.

    Args:
        table: `run`, `step`, `statistic`, `mean`, `low`, `high`; panels in the order in which statistics first stand.
        ax: As many axes as there are statistics; None makes a figure with two abreast.
        unit: What is counted.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes, one for each statistic.
    """
    statistics = table["statistic"].unique(maintain_order=True).to_list()
    runs = table["run"].unique(maintain_order=True).to_list()
    table = known(table.with_columns(series=pl.lit(OBSERVED)))
    course, barred = has_course(table), observed_in_bars(table)
    count = max(1, len(statistics))
    rows, columns = -(-count // 2), min(2, count)
    shape = (rows, columns, 0.2 + 0.38 * rows) if ax is None else (1, count, 1.0)
    entries = run_entries(runs) if runs else []
    with canvas(ax, venue, shape, entries, sharex=course and ax is None) as panels:
        for panel in panels[count:]:
            panel.set_axis_off()
        if not statistics:
            sentence(panels[0], "no statistic to compare")
        for panel, statistic in zip(panels, statistics, strict=False):
            label = STATISTICS[statistic].label
            part = table.filter(statistic=statistic)
            draw_series(panel, part, runs, SERIES, course=course, empty=f"no {label}", barred=barred)
            panel.set_title(TITLES.get(statistic, label).format(unit=unit))
            if STATISTICS[statistic].share:
                percent(panel.yaxis)
        if ax is None:
            for panel in panels[: count - columns]:
                panel.set_xlabel("")
            for panel in panels[count - columns : count]:  # the lowest of its column may have an empty place below
                panel.tick_params(labelbottom=True)
        from_zero([panel for panel, name in zip(panels, statistics, strict=False) if name not in NEGATIVE])
    return panels[:count]
