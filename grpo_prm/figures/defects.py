"""The defect over training: suppressed-good and boosted-bad tokens, beside those of rewards dealt anew."""

from __future__ import annotations

from collections.abc import Sequence

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .series import OBSERVED, draw_series, has_course, known, series_entries
from .style import COLUMN, PAPER, Unit, from_zero, given_axes, new_axes, percent

NAMES = {OBSERVED: "observed", "chance": "rewards dealt anew"}
TITLES = {"suppressed_good": "suppressed good", "boosted_bad": "boosted bad"}


def defects_over_training(
    table: pl.DataFrame, axes: Sequence[Axes] | None = None, *, unit: Unit = "token", width: float = COLUMN
) -> Figure:
    """Draw the share of suppressed-good and of boosted-bad tokens against the training step.

    Suppressed good: tokens of above-mean completions in a step with A(λ) < 0; boosted bad: the reverse. Bands are 95 %
    intervals; `chance` is the same share with the rewards dealt anew, with its 95 % range.

    Args:
        table: `figure_tables(...)["defects_over_training"]`: `run`, `step`, `statistic`, `series` (`observed` or
            `chance`), `mean`, `low`, `high`.
        axes: Two axes to draw into; None makes a figure.
        unit: What the shares count.
        width: Inches.

    Returns:
        The figure.
    """
    runs = table["run"].unique().sort().to_list()
    table = known(table)
    course = has_course(table)
    entries = series_entries(table, runs, NAMES)
    with mpl.rc_context(PAPER):
        figure, panels = (
            given_axes(axes, entries) if axes else new_axes(1, 2, 0.58 * width, width, entries, sharey=True)
        )
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            draw_series(panel, part, runs, NAMES, course=course, empty=f"no {title} {unit}s\nto count in this log")
            panel.set_title(title)
            percent(panel.yaxis)
        panels[0].set_ylabel(f"share of {unit}s")
        from_zero(panels)
    return figure
