"""The defect over training: suppressed-good and boosted-bad tokens, beside those of rewards dealt anew."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
from matplotlib.axes import Axes

from .series import EACH_NAME, OBSERVED, draw_series, has_course, known, series_entries
from .style import Unit, canvas, from_zero, percent

NAMES = {OBSERVED: "observed", "null": "rewards permuted"} | EACH_NAME
TITLES = {"suppressed_good": "suppressed good", "boosted_bad": "boosted bad"}


def defects_over_training(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw the share of suppressed-good and of boosted-bad tokens against the training step.

    Suppressed good: tokens of above-mean completions in a step with A(λ) < 0; boosted bad: the reverse. Bands are 95 %
    intervals; `chance` is the same share with the rewards dealt anew, with its 95 % range.

    Args:
        table: `figure_tables(...)["defects_over_training"]`: `run`, `step`, `statistic`, `series` (`observed` or
            `chance`), `mean`, `low`, `high`.
        ax: Two axes to draw on; None makes a figure.
        unit: What the shares count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    table = known(table)
    course = has_course(table)
    entries = series_entries(table, runs, NAMES)
    with canvas(ax, venue, (1, 2, 0.58), entries, sharey=True) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            draw_series(panel, part, runs, NAMES, course=course, empty=f"no {title} {unit}s\nto count in this log")
            panel.set_title(title)
            percent(panel.yaxis)
        panels[0].set_ylabel(f"share of {unit}s")
        from_zero(panels)
    return panels
