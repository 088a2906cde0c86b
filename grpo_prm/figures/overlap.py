"""Overlap: path depth and intermediate proportion over training, and their distribution over groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from .series import EACH_NAME, OBSERVED, colour_of, dash, draw_series, has_course, known, series_entries
from .style import REFERENCE, Unit, canvas, from_zero, markers, percent, run_entries, sentence

NAMES = {OBSERVED: "within groups", "baseline": "cross-prompt"} | EACH_NAME
SHARES = ("intermediate_proportion",)
MARKED = 6  # points of a curve that carry the marker of its run


def overlap_labels(unit: Unit, gap: str) -> dict[str, str]:
    """Label of each statistic, with `gap` where its line may break."""
    return {
        "path_depth": f"path depth{gap}(sets per completion)",
        "intermediate_proportion": f"intermediate{gap}proportion of {unit}s",
    }


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
    course, entries = has_course(table), series_entries(table, runs, NAMES)
    shape = (2, 1, 0.85) if course else (1, 2, 0.6)
    with canvas(ax, venue, shape, entries, sharex=course) as panels:
        for panel, (statistic, label) in zip(
            panels, overlap_labels(unit, " " if course else "\n").items(), strict=True
        ):
            part = table.filter(statistic=statistic)
            draw_series(panel, part, runs, NAMES, course=course, empty=f"no {statistic.replace('_', ' ')}\nin this log")
            panel.set_title(label)
            if statistic in SHARES:
                percent(panel.yaxis)
        if course and ax is None:
            panels[0].set_xlabel("")
        from_zero(panels)
    return panels


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
    entries = _group_entries(table, runs)
    with canvas(ax, venue, (1, 2, 0.6), entries, sharey=True) as panels:
        for panel, (statistic, label) in zip(panels, overlap_labels(unit, "\n").items(), strict=True):
            part = table.filter(statistic=statistic)
            if part.is_empty():
                sentence(panel, f"no {statistic.replace('_', ' ')}\nin this log")
                continue
            for (run, series), curve in part.group_by("run", "series", maintain_order=True):
                look: Any = {"color": colour_of(runs, run, series), "linestyle": dash(series), "gid": f"{run}/{series}"}
                if len(runs) > 1:
                    look |= {"marker": markers(runs)[run], "markevery": -(-len(curve) // MARKED)}
                panel.step(curve["value"], curve["share"], where="post", clip_on=False, zorder=3, **look)
            panel.set(xlabel=label, ylim=(0, 1), xlim=(0, max(1.05 * part["value"].to_numpy().max(), 1e-3)))
            percent(panel.yaxis)
            if statistic in SHARES:
                percent(panel.xaxis)
        panels[0].set_ylabel("groups with at most this")
    return panels


def _group_entries(table: pl.DataFrame, runs: list[str]) -> list[tuple[Line2D, str]]:
    present, alone = [name for name in NAMES if name in table["series"]], len(runs) == 1
    styles = [
        (
            Line2D([], [], color=colour_of(runs, runs[0], name) if alone else REFERENCE, linestyle=dash(name)),
            NAMES[name],
        )
        for name in present
    ]
    return styles if alone else run_entries(runs) + styles
