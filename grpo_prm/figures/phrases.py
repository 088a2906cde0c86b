"""Phrases that captions share: what is true of each log or run, which steps a table covers, what its bands are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import polars as pl

from ..analysis.statistics import STATISTICS
from ..core.interval import FEW_CLUSTERS
from ..text.amounts import amount, first_of, interval, listed
from ..text.printable import printable
from .figure import Summaries
from .over_training import NULL, OBSERVED, has_course
from .ranges import in_bars
from .style import RUNS_BANDED

UNITS_FROM = {
    "log": "{unit}s as logged",
    "tokenizer": "{unit}s from tokenizing the text again",
    "pieces": "pieces of text",
}
NAMED = 3  # runs, or logs, of which a caption says each
NOTHING = "there is nothing to show"
known_interval = partial(interval, missing="not known")


def log_size(name: str, summary: Mapping[str, Any], unit: str) -> str:
    """Name and size of a log, and where its units come from: `chain: 160 groups of 8, tokens as logged`."""
    counts, k = summary["counts"], summary["counts"]["group_size"]
    size = f"{k['mode']}" if k["min"] == k["max"] else f"{k['min']} to {k['max']}"
    origins = listed([UNITS_FROM[origin].format(unit=unit) for origin in summary["source"]["tokens_from"].split(", ")])
    return f"{printable(name)}: {amount(counts['groups'], 'group')} of {size}, {origins}"


def by_log(summaries: Summaries, phrase: Callable[[Mapping[str, Any]], str]) -> str:
    """The phrase of each log, after its name where there are several; of many the first ones."""
    several = len(summaries) > 1
    phrases = [_name(name, several) + phrase(summary) for name, summary in summaries.items()]
    return first_of(phrases, NAMED, "log", "; ")


def by_run(table: pl.DataFrame, phrase: Callable[[pl.DataFrame], str]) -> str:
    """The phrase of the rows of each run, after its name where there are several; of many the first ones."""
    several = table["run"].n_unique() > 1
    rows_of_runs = table.group_by("run", maintain_order=True)
    phrases = [_name(str(run), several) + phrase(rows) for (run,), rows in rows_of_runs]
    return first_of(phrases, NAMED, "run", "; ") if phrases else NOTHING


def _name(name: str, several: bool) -> str:
    return f"{printable(name)}: " if several else ""


def steps_covered(table: pl.DataFrame) -> str:
    """`in training steps 0 to 480`, of a table of `over_training`."""
    steps = table["step"].drop_nulls()
    if steps.is_empty():
        return "(the log knows no training steps)"
    width = table.filter(pl.col("steps") > 1)["steps"].max()
    if width is not None:  # `step` is the middle of a window: the course begins and ends with its outer ones
        steps = pl.concat([table["first"], table["last"]]).drop_nulls()
    several = steps.n_unique() > 1
    covered = f"in training steps {steps.min()} to {steps.max()}" if several else f"at training step {steps[0]}"
    if several and not has_course(table):
        covered = f"at the one training step of each run ({steps.min()} to {steps.max()}), so without a course"
    return covered + (f", in windows of {width}" if width is not None else "")


def band_note(table: pl.DataFrame) -> str:
    """What brackets in the caption and bands or bars in the drawing are, and which points have none."""
    null = table.filter(series=NULL) if "series" in table.columns else table.clear()
    own = table.filter(series=OBSERVED) if "series" in table.columns else table
    barred, drawn = in_bars(own), own["run"].n_unique() <= RUNS_BANDED
    shown = f"brackets{(' and bars' if barred else ' and bands') if drawn else ''} are 95 % intervals over problems"
    if barred:
        what = "bar" if drawn else "bracket"
        shown += f", a point without a {what} is of fewer than {FEW_CLUSTERS} problems"
    intervals = shown if own["low"].count() else f"fewer than {FEW_CLUSTERS} problems: too few for intervals"
    grey = null["low"].count() and own["run"].n_unique() == 1
    return intervals + (", the grey band 95 % of 199 permutations over distinct completions" if grey else "")


def value_range(first: int, last: int) -> str:
    """`5`, or `5 to 6`."""
    return f"{first:,}" if first == last else f"{first:,} to {last:,}"


def first_and_last(rows: pl.DataFrame) -> list[dict[str, Any]]:
    """The first and the last row; of one row that one."""
    return [rows.row(0, named=True), *([rows.row(-1, named=True)] if len(rows) > 1 else [])]


def by_statistic(rows: pl.DataFrame, order: str, phrase: Callable[[dict[str, Any], bool], str]) -> str:
    """For each statistic of a run the phrase of its first and last row in the order of a column.

    Args:
        rows: Of one run, with `statistic`.
        order: The column.
        phrase: From a row, and whether its statistic is a share, to a phrase.
    """
    phrases = []
    for (name,), part in rows.sort(order).group_by("statistic", maintain_order=True):
        statistic = STATISTICS[str(name)]
        phrases.append(f"{statistic.label} {listed([phrase(row, statistic.share) for row in first_and_last(part)])}")
    return ", ".join(phrases)
