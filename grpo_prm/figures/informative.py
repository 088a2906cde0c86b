"""Informativeness: the observed mean |A| of intermediate steps beside what the rewards dealt anew give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from .series import EACH_NAME, OBSERVED, draw_series, has_course, known
from .style import BAND, REFERENCE, Entries, Unit, canvas, colours, plain, sentence

NAMES = {OBSERVED: "observed", "null": "rewards permuted"} | EACH_NAME
DASHES = ("-", "--", "-.", ":")  # of the observed values of several runs


def informativeness(
    table: pl.DataFrame, ax: Axes | Sequence[Axes] | None = None, *, unit: Unit = "token", venue: str = "column"
) -> list[Axes]:
    """Draw the permutations as a histogram with the observed value in it, and both over training.

    Args:
        table: `figure_tables(...)["informativeness"]`: `run`, `series`, `step`, `mean`, `low`, `high`, `n`, `p_value`.
        ax: Axes of the histogram, or two with those of training; None makes a figure, with the second where a run has
            several steps.
        unit: What the mean is over.
        venue: What a new figure is made for, of `venues.VENUES`.

    Returns:
        The axes.
    """
    whole = table.filter(pl.col("series").is_in(["permutations", "value"]))
    course = known(table.filter(~pl.col("series").is_in(["permutations", "value"])))
    names, runs = (part["run"].unique().sort().to_list() for part in (whole, course))
    two = has_course(course) if ax is None else not isinstance(ax, Axes) and len(ax) > 1
    with canvas(ax, venue, (1, 1 + two, 0.62 if two else 0.55), _entries(whole, names)) as panels:
        _draw_histograms(panels[0], whole, names, unit)
        if two:
            draw_series(panels[1], course, runs, NAMES, course=has_course(course), empty="no steps\nin this log")
            panels[1].set_ylabel("mean |A|")
    return panels


def _draw_histograms(axes: Axes, table: pl.DataFrame, runs: list[str], unit: Unit) -> None:
    if table.is_empty():
        sentence(axes, f"no intermediate {unit} outside\nidentical completions in\na group of mixed reward")
        return
    for n, run in enumerate(runs):
        bins = table.filter(run=run, series="permutations").sort("low")
        if bins.is_empty():
            continue
        edges = np.append(bins["low"].to_numpy(), bins["high"][-1])
        colour = _colour(runs, run)
        if edges[-1] > edges[0]:
            axes.stairs(bins["n"].to_numpy(), edges, color=colour, fill=True, alpha=2 * BAND, gid=f"{run}/permutations")
        else:
            axes.axvline(edges[0], color=colour, alpha=2 * BAND, linewidth=3, gid=f"{run}/permutations")
        value = table.filter(run=run, series="value")["mean"][0]
        axes.axvline(value, color=colours(runs)[run], linestyle=DASHES[n % 4], gid=f"{run}/value")
    axes.set_xlabel(
        f"mean |A| of intermediate {unit}s" if len(axes.figure.axes) == 1 else f"mean |A|\n(intermediate {unit}s)"
    )
    axes.set_ylabel("permutations")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4))
    axes.margins(x=0.08)


def _colour(runs: list[str], run: str) -> str:
    return REFERENCE if len(runs) == 1 else colours(runs)[run]


def _entries(table: pl.DataFrame, runs: list[str]) -> Entries:
    entries: list[tuple[Any, str]] = []
    for n, run in enumerate(runs):
        value = table.filter(run=run, series="value")
        if len(value):
            line = Line2D([], [], color=colours(runs)[run], linestyle=DASHES[n % 4], linewidth=1.2)
            name = "observed" if len(runs) == 1 else plain(run)
            entries.append((line, f"{name} (p = {value['p_value'][0]:.3g})"))
    if entries:
        entries.append((Patch(facecolor=REFERENCE, alpha=2 * BAND), "rewards dealt anew"))
    return entries
