"""Whether the branches say anything: mean |A| of intermediate tokens beside permutations of the rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ..analysis.statistics import STATISTICS
from ..text.amounts import number, span
from .figure import Captioned, LogFigure
from .logs import Logs
from .names import legend_names
from .over_training import EACH, NULL, OBSERVED, over_training
from .phrases import NOTHING, band_note, by_log, steps_covered
from .series import draw_series, has_course, known, observed_in_bars
from .style import BAND, REFERENCE, Entries, Unit, canvas, colours, sentence

SERIES = {OBSERVED: "observed", NULL: "rewards permuted", EACH: "single steps"}
LABEL = STATISTICS["informativeness"].label
WHOLE_LOG = ("permutations", "value")  # series of the histogram
BINS = 24  # of the permutations
NO_NULL = "nothing to permute"
DASHES = ("-", "--", "-.", ":")  # of the observed values of several runs


def make_table(logs: Logs) -> pl.DataFrame:
    """Histogram of the permutations, the observed value, and both over training.

    Args:
        logs: The analyses.

    Returns:
        `run`, `series`, `step`, `first`, `last`, `steps`, `mean`, `low`, `high`, `n`, `p_value`. Series `permutations`:
        bins from `low` to `high` that hold `n` of the permutations. `value`: what the log has as `mean`, with its
        `p_value` by `n` permutations (0, and no p, where nothing can be permuted). `observed`, `null`, `each_step`: of
        `over_training`. A run of which nothing is known is left out.
    """
    rows = [row for name, summary in logs.summaries.items() for row in _whole(name, summary, logs.permutations)]
    ints = dict.fromkeys(("step", "first", "last", "steps"), pl.Int64)
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    schema = {"run": pl.String, "series": pl.String, **ints, **floats, "n": pl.Int64, "p_value": pl.Float64}
    course = over_training(logs, ("informativeness",), NULL).with_columns(p_value=pl.lit(None, pl.Float64))
    return pl.concat([pl.DataFrame(rows, schema, orient="row"), course.select(*schema)])


def _whole(name: str, summary: Mapping[str, Any], permutations: pl.DataFrame) -> list[tuple]:
    """Histogram and value of one log; nothing where it has no mean |A|."""
    measured = summary["informativeness"]
    draws = permutations.filter(run=name)["informativeness"].drop_nulls().to_numpy()
    if measured is None:
        return []
    no_step = (None, None, None, None)  # step, first, last, steps
    value = (name, "value", *no_step, measured["observed"], None, None, len(draws), measured["p_value"])
    if not len(draws):  # nothing could be permuted
        return [value]
    alike = np.ptp(draws) <= 1e-9 * np.abs(draws).max()  # but for rounding: bins between would have no width
    # numpy puts equal values into a bin of width 1, which is no width beside a value of 1e17.
    within = (draws.min() - 1e-6 * abs(draws.min()), draws.max() + 1e-6 * abs(draws.max()))
    large = alike and np.abs(draws).max() > 1e6
    counts, edges = np.histogram(draws, 1 if alike else BINS, within if large else None)
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    return [*((name, "permutations", *no_step, None, low, high, n, None) for low, high, n in bins), value]


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
    whole = table.filter(pl.col("series").is_in(WHOLE_LOG))
    course = known(table.filter(~pl.col("series").is_in(WHOLE_LOG)))
    names, runs = (part["run"].unique().sort().to_list() for part in (whole, course))
    two = has_course(course) if ax is None else not isinstance(ax, Axes) and len(ax) > 1
    with canvas(ax, venue, (1, 1 + two, 0.62 if two else 0.55), _entries(whole, names)) as panels:
        _draw_histograms(panels[0], whole, names, unit)
        if two:
            empty, barred = "no steps\nin this log", observed_in_bars(course)
            draw_series(panels[1], course, runs, SERIES, course=has_course(course), empty=empty, barred=barred)
            panels[1].set_ylabel(LABEL)
    return panels


def _draw_histograms(axes: Axes, table: pl.DataFrame, runs: list[str], unit: Unit) -> None:
    if table.is_empty():
        sentence(axes, f"no intermediate {unit} outside\nidentical completions in\na group whose rewards differ")
        return
    for n, run in enumerate(runs):
        bins = table.filter(run=run, series="permutations").sort("low")
        edges = np.append(bins["low"].to_numpy(), bins["high"].to_numpy()[-1:])
        colour = _colour(runs, run)
        if bins.is_empty():
            pass  # nothing could be permuted: the value stands alone
        elif edges[-1] > edges[0]:  # else all permutations give one value, and stairs without width draw nothing
            axes.stairs(bins["n"].to_numpy(), edges, color=colour, fill=True, alpha=2 * BAND, gid=f"{run}/permutations")
        else:
            axes.axvline(edges[0], color=colour, alpha=2 * BAND, linewidth=3, gid=f"{run}/permutations")
        value = table.filter(run=run, series="value")["mean"][0]
        axes.axvline(value, color=colours(runs)[run], linestyle=DASHES[n % 4], gid=f"{run}/value")
    axes.set_xlabel(
        f"{LABEL} of intermediate {unit}s" if len(axes.figure.axes) == 1 else f"{LABEL}\n(intermediate {unit}s)"
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
            name = "observed" if len(runs) == 1 else legend_names(runs)[run]
            p = value["p_value"][0]
            entries.append((line, f"{name} ({NO_NULL if p is None else f'p = {number(p)}'})"))
    if not table.filter(series="permutations").is_empty():
        entries.append((Patch(facecolor=REFERENCE, alpha=2 * BAND), SERIES[NULL]))
    return entries


def make_caption(shown: Captioned) -> str:
    """The observed value of each log beside its permutations."""

    def value(summary: Mapping[str, Any]) -> str:
        measured = summary["informativeness"]
        if measured is None:
            return NOTHING
        observed = number(measured["observed"])
        if measured["p_value"] is None:
            return f"{observed} observed, {NO_NULL}"
        p = f"p = {number(measured['p_value'])}"
        null = f"{number(measured['null_mean'])} {span(measured['null_low'], measured['null_high'])}"
        return f"{observed} observed, {null} with the rewards permuted, {p}"

    course = shown.table.filter(series=OBSERVED)
    shown_twice = course["step"].n_unique() > 1
    steps = f", and that {steps_covered(course)}" if shown_twice else ""
    note = f"; {band_note(shown.table.filter(~pl.col('series').is_in(WHOLE_LOG)))}" if shown_twice else ""
    values = by_log(shown.summaries, value)
    return (
        f"Mean |A| of intermediate {shown.unit}s beside 199 permutations of the rewards over the distinct completions "
        f"of a group that come equally often{steps}; {values}{note}"
    )


FIGURE = LogFigure("informativeness", make_table, informativeness, make_caption)
