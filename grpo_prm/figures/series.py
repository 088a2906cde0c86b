"""The drawing of a table over training: lines with bands, or points with bars where there is one step."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, MaxNLocator

from .over_training import EACH, OBSERVED, has_course
from .ranges import bars, draw_range, in_bars
from .style import BAND, REFERENCE, RUNS_BANDED, Entries, colours, markers, run_entries, sentence

FEW = 15  # points of a line up to which each is marked
MANY = 60  # points of a line beyond which it is drawn thinner


def known(table: pl.DataFrame) -> pl.DataFrame:
    """The rows with something to draw: a mean, or at least a range."""
    return table.filter(pl.col("mean").is_not_nan() | pl.col("low").is_not_nan())


def draw_series(
    axes: Axes,
    table: pl.DataFrame,
    runs: list[str],
    names: dict[str, str],
    *,
    course: bool,
    empty: str,
    barred: bool = False,
) -> None:
    """Draw one statistic of one or more runs.

    Args:
        axes: Where to draw.
        table: Columns `run`, `step` (null: unknown), `series` (`observed`, or the name of a reference), `mean`, `low`,
            `high`; rows that `known` keeps.
        runs: All runs of the figure, so that a run has one colour in all its panels.
        names: Label of each series, in order.
        course: `has_course` of the whole figure, so that its panels share one axis of steps.
        empty: Sentence where there are no rows.
        barred: `observed_in_bars` of the whole figure.
    """
    if table.is_empty():
        sentence(axes, empty)
    elif course:
        _draw_course(axes, table, runs, barred=barred)
    else:
        _draw_points(axes, table, runs, names)


def series_entries(table: pl.DataFrame, runs: list[str], names: dict[str, str]) -> list[tuple[Any, str]]:
    """Legend of `draw_series`: the series of one run; of several the runs, and the line style of each series."""
    present, course = [name for name in names if name in table["series"]], has_course(table)
    if len(runs) > 1:
        styles = [
            (Line2D([], [], color=REFERENCE, linestyle=dash(name)), names[name]) for name in present if name != EACH
        ]
        return run_entries(runs) + (styles if course and len(present) > 1 else [])
    if not course:
        return []  # the axis names the series
    return [(_handle(table.filter(series=name), runs, name), names[name]) for name in present]


def band_entries(runs: list[str]) -> Entries:
    """Legend of lines with intervals: the runs, if there are several."""
    return run_entries(runs) if len(runs) > 1 else []


def observed_in_bars(table: pl.DataFrame) -> bool:
    """Whether the intervals of what was observed are bars in all panels: some points of the figure have none."""
    return in_bars(table.filter(series=OBSERVED))


def dash(series: str) -> Literal["-", "--"]:
    """Line style of a series: references are dashed."""
    return "--" if series not in (OBSERVED, EACH) else "-"


def colour_of(runs: list[str], run: str, series: str) -> str:
    """Colour of a series: its run's; the reference of a single run is grey."""
    return REFERENCE if len(runs) == 1 and series not in (OBSERVED, EACH) else colours(runs)[run]


def _handle(table: pl.DataFrame, runs: list[str], series: str) -> tuple[Any, ...]:
    colour = colour_of(runs, runs[0], series)
    if series == EACH:
        return (Line2D([], [], color=colour, alpha=0.45, linewidth=0.5),)
    band, line = Patch(facecolor=colour, alpha=BAND), Line2D([], [], color=colour, linestyle=dash(series))
    banded = table["low"].count() and not in_bars(table)
    return (*((band,) if banded else ()), *((line,) if table["mean"].count() else ()))


def _draw_course(axes: Axes, table: pl.DataFrame, runs: list[str], *, barred: bool) -> None:
    """Lines against the step; a run that knows no step becomes a level line, since its step may be any."""
    for (run, series), part in table.sort("step").group_by("run", "series", maintain_order=True):
        if series == EACH:
            _draw_each(axes, part, colour_of(runs, run, series))
            continue
        over = part.filter(pl.col("step").is_not_null())
        # A cast, since a column of nothing but nulls has no numbers; null becomes NaN, which is a gap in the line.
        x, mean, low, high = (over[c].cast(pl.Float64).to_numpy() for c in ("step", "mean", "low", "high"))
        observed, colour = series == OBSERVED, colour_of(runs, run, series)
        front = 3 if observed else 2
        width = 1.2 if observed and len(x) <= MANY else 0.8
        line: Any = {"color": colour, "linestyle": dash(series), "linewidth": width, "zorder": front}
        line["gid"] = f"{run}/{series}"
        if observed and (len(x) <= FEW or len(runs) > 1):
            line["marker"] = markers(runs)[run]
        axes.plot(x, mean, markevery=-(-len(x) // FEW) if "marker" in line else None, **line)
        # Bands of references beside several runs would hide the lines; those of single points hide nothing.
        if len(x) == 1 or len(runs) == 1 or (observed and len(runs) <= RUNS_BANDED):
            draw_range(axes, x, mean, low, high, colour=colour, barred=barred and observed, front=front)
        for level in part.filter(pl.col("step").is_null())["mean"].drop_nulls():
            axes.axhline(level, **line)
    axes.set_xlabel("training step" + _windows(table))
    steps = table["step"].drop_nulls().unique().sort().to_list()
    axes.xaxis.set_major_locator(
        FixedLocator(_apart(steps)) if len(steps) <= FEW else MaxNLocator(nbins=5, integer=True)
    )


def _draw_each(axes: Axes, table: pl.DataFrame, colour: str) -> None:
    """The single steps behind windows of them: a faint line without a band."""
    line: Any = {"color": colour, "alpha": 0.3, "linewidth": 0.5, "zorder": 1.5, "gid": f"{table['run'][0]}/{EACH}"}
    axes.plot(table["step"], table["mean"], **line)


def _windows(table: pl.DataFrame) -> str:
    """How many steps a point is of, where it is of several."""
    most = table["steps"].max() if "steps" in table.columns else 1
    return f"\n(windows of {most})" if isinstance(most, int) and most > 1 else ""


def _apart(steps: list[int]) -> list[int]:
    """Some of the steps, in order: the first, and each that a quarter of the axis parts from the one before."""
    chosen = steps[:1]
    for step in steps:
        if 4 * (step - chosen[-1]) >= steps[-1] - steps[0] > 0:
            chosen.append(step)
    return chosen


def _draw_points(axes: Axes, table: pl.DataFrame, runs: list[str], names: dict[str, str]) -> None:
    """One step: a point with its interval for each series, the runs side by side."""
    present = [name for name in names if name in table["series"]]
    for (run, series), part in table.group_by("run", "series", maintain_order=True):
        mean, low, high = (part[c].cast(pl.Float64).to_numpy() for c in ("mean", "low", "high"))
        # Series stand at 0, 1, ...; the runs of one share the middle 0.6 around it.
        x = np.full(len(mean), present.index(series) + 0.6 * ((runs.index(run) + 0.5) / len(runs) - 0.5))
        colour = colour_of(runs, run, series)
        if np.isnan(mean).all():  # a reference that is known as a range only
            axes.vlines(x, low, high, color=colour, linewidth=4, alpha=2 * BAND)
            continue
        fill = colour if series == OBSERVED else "white"
        point: Any = {"color": colour, "markerfacecolor": fill, "markersize": 4, "capsize": 2, "linewidth": 0.9}
        axes.errorbar(x, mean, bars(mean, low, high), fmt="o", gid=f"{run}/{series}", **point)
    axes.set_xticks(range(len(present)), [names[name].replace(" ", "\n", 1) for name in present])
    axes.set_xlim(-0.6, len(present) - 0.4)
    axes.grid(visible=False, axis="x")
