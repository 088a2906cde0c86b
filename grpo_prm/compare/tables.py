"""A comparison as rows of text: runs, each figure beside that of the first, metrics, places, steps to a reward."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..analysis.statistics import STATISTICS
from ..text.amounts import MISSING, number, percent, signed, span
from .comparison import Comparison
from .difference import COMPARED
from .ranking import LEVEL

SIDE_BY_SIDE = 3  # runs that stand as columns; more stand as rows
RANGES = "[95 %]"  # end of the head of a column of differences or values with their intervals
NOT_SURE, SURE = " *", " **"  # an interval without 0; and after Holm's adjustment too


class Sheet(NamedTuple):
    """A table of text.

    Attributes:
        heads: Of the columns.
        rows: One cell for each column.
    """

    heads: list[str]
    rows: list[list[str]]


def side_by_side(comparison: Comparison) -> Sheet:
    """Runs as columns, the difference from the first beside each other one; methods, where any is known, come first.

    Shares are in percent and their differences in points. A difference whose interval leaves 0 outside has a star, one
    that is left after Holm's adjustment two.
    """
    first, *others = comparison.compared.runs
    heads = ["", first.name, *(head for run in others for head in (run.name, f"minus {first.name} {RANGES}"))]
    made = []
    if any(run.method for run in comparison.compared.runs):
        named = (cell for run in others for cell in (run.method or "unknown", ""))
        made.append(["method", first.method or "unknown", *named])
    for name in shown_statistics(comparison):
        cells = [title_of(name, comparison)]
        for row in comparison.table.filter(statistic=name).iter_rows(named=True):
            cells.append(_value(row["mean"], name))
            if row["run"] != first.name:
                cells.append(row["note"] or difference_cell(row, share=STATISTICS[name].share))
        made.append(cells)
    return Sheet(heads, made)


def as_rows(comparison: Comparison, names: Iterable[str]) -> Sheet:
    """Runs as rows, statistics as columns; stars as in `side_by_side`, at the value of the run that differs."""
    table = {(row["statistic"], row["run"]): row for row in comparison.table.iter_rows(named=True)}
    names = list(names)
    made = []
    for run in comparison.compared.runs:
        cells = (
            _value(row["mean"], name) + stars(row) for name, row in ((name, table[name, run.name]) for name in names)
        )
        made.append([run.name, *cells])
    return Sheet(["", *(title_of(name, comparison) for name in names)], made)


def shown_statistics(comparison: Comparison) -> list[str]:
    """Names of the statistics that any run has: a row of dashes would say nothing, as of accuracy of graded rewards."""
    known = comparison.table.filter(~comparison.table["mean"].is_null())["statistic"].unique()
    return [name for name in COMPARED if name in {*known}]


def title_of(name: str, comparison: Comparison) -> str:
    """What a statistic is called; m of pass@m is the size that all runs have."""
    return STATISTICS[name].title.replace("@m", f"@{comparison.compared.m}")


def runs_sheet(comparison: Comparison) -> Sheet:
    """The runs with their methods, if any is known, and their size."""
    runs = comparison.compared.runs
    methods = any(run.method for run in runs)
    made = []
    for run in runs:
        steps = f"{len(run.steps):,}" if run.steps else MISSING
        method = [run.method or "unknown"] if methods else []
        made.append([run.name, *method, steps, f"{len(run.groups):,}", f"{run.k:,}"])
    return Sheet(["run", *(["method"] * methods), "steps", "groups", "k"], made)


def ranking_sheet(comparison: Comparison) -> Sheet:
    """The ranking: its place, or the places that a run may have, and the numbers of those that it is tied with."""
    ranking = comparison.ranking
    if ranking is None:
        return Sheet([], [])
    share, title = STATISTICS[ranking.statistic].share, title_of(ranking.statistic, comparison)
    at = {place.run: f"{n}" for n, place in enumerate(ranking.places, 1)}
    made = []
    for place in ranking.places:
        value = f"{_value(place.mean, ranking.statistic)} {span(place.low, place.high, share=share)}".rstrip()
        best, worst = place.best, place.worst
        where = MISSING if best is None else f"{best}" if best == worst else f"{best} to {worst}"
        # Of all others one word, where that is most of a line.
        every = len(place.tied) == len(ranking.places) - 1 > 1
        tied = "all others" if every else ", ".join(at[name] for name in place.tied)
        made.append([at[place.run], place.run, value, where, tied])
    return Sheet(["", "run", f"{title} {RANGES}", "place", "tied with"], made)


def metrics_sheet(comparison: Comparison) -> Sheet:
    """Runs as rows, metrics as columns: means of the last tenth with their steps, single values with their interval."""
    shown = comparison.metrics
    cells: dict[tuple[str, str], str] = {}
    heads = [""]
    for name in shown.names:
        part = shown.table.filter(metric=name)
        heads.append(f"{name}, {_steps(part['from_step'].min(), part['to_step'].max())}")
        for row in part.iter_rows(named=True):
            single = row["values"] == 1
            interval = span(row["low"], row["high"]) if single else ""
            cells[row["run"], name] = f"{number(row['last'] if single else row['mean'])} {interval}".rstrip()
    named = [run.name for run in comparison.compared.runs if any((run.name, name) in cells for name in shown.names)]
    return Sheet(heads, [[run, *(cells.get((run, name), MISSING) for name in shown.names)] for run in named])


def _steps(first: Any, last: Any) -> str:
    return f"step {last:,}" if first == last else f"steps {first:,} to {last:,}"


def reach_rows(comparison: Comparison) -> list[list[str]]:
    """When each run reaches the level: name, step, and from the first to the sure step by the 95 % interval."""
    runs = comparison.compared.runs
    # Beside more runs a table has their methods.
    labels = {run.name: run.label if len(runs) <= SIDE_BY_SIDE else run.name for run in runs}
    made = []
    for one in comparison.reach.runs:
        step = f"not by step {one.last:,}" if one.step is None else f"step {one.step:,}"
        steps = "too few problems for a range"
        if one.known:
            ends = (f"after {one.last:,}" if end is None else f"{end:,}" for end in (one.earliest, one.surely))
            steps = f"[{', '.join(ends)}]"
        made.append([labels[one.run], step, steps])
    return made


def _value(value: float | None, name: str) -> str:
    if value is None:
        return MISSING
    return f"{percent(value)} %" if STATISTICS[name].share else number(value)


def difference_cell(row: dict[str, Any], *, share: bool) -> str:
    """A difference with its interval, to two figures of the interval's half width; in points if it is of shares."""
    if row["difference"] is None:
        return MISSING
    scale = 100 if share else 1
    mean = scale * row["difference"]
    # Without an interval the difference stands alone, and no star can be given.
    if row["difference_low"] is None or row["difference_high"] is None:
        return signed(mean)
    low, high = scale * row["difference_low"], scale * row["difference_high"]
    # To rounding such an interval has no width, as of rewards that are all moved by as much.
    if high - low < 1e-9:
        return f"{signed(mean)} [{signed(low)}, {signed(high)}]{stars(row)}"
    places = max(0, 1 - math.floor(math.log10((high - low) / 2)))
    mean, low, high = (f"{round(end, places) + 0.0:+,.{places}f}" for end in (mean, low, high))
    return f"{mean} [{low}, {high}]{stars(row)}"


def stars(row: dict[str, Any]) -> str:
    """How sure a difference is."""
    low, high = row["difference_low"], row["difference_high"]
    if low is None or high is None or low <= 0 <= high:
        return ""
    return SURE if row["p_holm"] is not None and row["p_holm"] <= LEVEL else NOT_SURE
