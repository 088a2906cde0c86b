"""The defect over training: suppressed-good and boosted-bad tokens, beside those with the rewards permuted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from ..analysis.statistics import STATISTICS
from ..text.amounts import listed
from .figure import Captioned, LogFigure
from .logs import Logs
from .over_training import EACH, NULL, OBSERVED, over_training
from .phrases import band_note, by_log, known_interval, steps_covered
from .series import draw_series, has_course, known, observed_in_bars, series_entries
from .style import Unit, canvas, from_zero, percent

SERIES = {OBSERVED: "observed", NULL: "rewards permuted", EACH: "single steps"}
TITLES = {name: STATISTICS[name].label.replace("-", " ") for name in ("suppressed_good", "boosted_bad")}


def make_table(logs: Logs) -> pl.DataFrame:
    """Both shares by step, `observed` and `null`: columns as of `over_training`."""
    return over_training(logs, tuple(TITLES), NULL)


def defects_over_training(
    table: pl.DataFrame, ax: Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw the share of suppressed-good and of boosted-bad tokens against the training step.

    Suppressed good: tokens of above-mean completions in a step with A(λ) < 0; boosted bad: the reverse. Bands are 95 %
    intervals; `null` is the same share with the rewards permuted, with its 95 % range.

    Args:
        table: `figure_tables(...)["defects_over_training"]`: `run`, `step`, `statistic`, `series` (`observed` or
            `null`), `mean`, `low`, `high`.
        ax: Two axes to draw on; None makes a figure.
        unit: What the shares count.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    runs = table["run"].unique().sort().to_list()
    table = known(table)
    course, barred = has_course(table), observed_in_bars(table)
    entries = series_entries(table, runs, SERIES)
    # One scale, so that the two shares can be compared at a glance.
    with canvas(ax, venue, (1, 2, 0.58), entries, sharey=True) as panels:
        for panel, (statistic, title) in zip(panels, TITLES.items(), strict=True):
            part = table.filter(statistic=statistic)
            empty = f"no {title} {unit}s\nto count in this log"
            draw_series(panel, part, runs, SERIES, course=course, empty=empty, barred=barred)
            panel.set_title(title)
            percent(panel.yaxis)
        panels[0].set_ylabel(f"share of {unit}s")
        from_zero(panels)
    return panels


def make_caption(shown: Captioned) -> str:
    """Both shares of each log beside the same with the rewards permuted."""

    def shares(summary: Mapping[str, Any]) -> str:
        parts = []
        for name, title in TITLES.items():
            value = summary["defects"][name]
            null = "" if value is None else f" (rewards permuted: {known_interval(value, share=True, null=True)})"
            parts.append(f"{title} {known_interval(value, share=True)}{null}")
        return listed(parts)

    return (
        f"Share of the {shown.unit}s of above-mean completions that GRPO pushes down (suppressed good) and of those of "
        f"below-mean ones that it raises (boosted bad) {steps_covered(shown.table)}; over all "
        f"{by_log(shown.summaries, shares)}; {band_note(shown.table)}"
    )


FIGURE = LogFigure("defects_over_training", make_table, defects_over_training, make_caption)
