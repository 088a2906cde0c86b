"""A comparison on the terminal: tables that fit its width, and the sentences that belong to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.compare.comparison import ABOUT, Comparison, apart, many_questions
from grpo_prm.compare.tables import (
    RANGES,
    SIDE_BY_SIDE,
    Sheet,
    as_rows,
    metrics_sheet,
    ranking_sheet,
    reach_rows,
    runs_sheet,
    shown_statistics,
    side_by_side,
    title_of,
)
from grpo_prm.text.amounts import amount, number
from grpo_prm.text.printable import printable

from .screen import trimmed

ALL = 100  # columns from which every statistic of many runs is shown
NAME = 24  # columns of a name of a run, at most; longer ones are broken
SHORT = 9  # the same where three runs would not fit else
LABEL = 15  # columns of the name of a statistic, at least
RANGE = 24  # columns of a difference with its interval, at least: few are longer, and they break before the interval
HEAD = 11  # columns of a head of more than one word, at least
GAP = 2
TEXTS = ("", "run", "method", "tied with")  # heads of columns that may be broken
STARS = "leaves 0 outside; ** it still does after Holm's adjustment"
NAMED = 12  # metrics that are named where they are not shown


def show(comparison: Comparison, out: Path) -> None:
    """Print the tables and what to know about them."""
    console = Console(markup=False, highlight=False, emoji=False)
    with trimmed(console):
        for sentence in comparison.header:
            console.print(printable(sentence))
        console.print()
        names = _fitting(side_by_side(comparison), console.width)
        if len(comparison.compared.runs) <= SIDE_BY_SIDE and names:
            _as_columns(console, comparison, names)
            _ranking(console, comparison)
        else:
            console.print(_table(runs_sheet(comparison)))
            console.print()
            _ranking(console, comparison)
            _as_rows(console, comparison)
        _metrics(console, comparison)
        for sentence in (ABOUT, many_questions(comparison.table), *comparison.notes):
            console.print(printable(sentence))
        _reach(console, comparison)
        where = printable(str(out))
        console.print(f"\nEvery number is in {where}/comparison.json, the curves in {where}/figures.")


def _as_columns(console: Console, comparison: Comparison, names: int) -> None:
    """Few runs: each a column, its difference from the first beside it."""
    console.print(_table(side_by_side(comparison), names))
    console.print(f"Differences of shares are in points. *: the interval {STARS}.\n")


def _as_rows(console: Console, comparison: Comparison) -> None:
    """Many runs, or long names: each a row, in as many tables as the width needs; less where it is narrow."""
    every = shown_statistics(comparison)
    shown = every if console.width >= ALL else [name for name in every if STATISTICS[name].headline]
    for page in _pages(as_rows(comparison, shown), console.width):
        console.print(_table(page))
        console.print()
    if apart(comparison.table).any():
        base = printable(comparison.compared.runs[0].name)
        console.print(f"*: the interval of the difference from {base} {STARS}. comparison.csv has the differences.")
    if left := len(every) - len(shown):
        console.print(f"{left} more statistics are there, and here where {ALL} columns are free.")
    console.print()


def _ranking(console: Console, comparison: Comparison) -> None:
    ranking = comparison.ranking
    if ranking is None or len(ranking.places) < 3:  # of two the difference says it
        return
    title = title_of(ranking.statistic, comparison)
    console.print(f"Ranking by {title}, the highest first")
    console.print(_table(ranking_sheet(comparison)))
    level = f"p ≤ .05 after Holm over all {amount(ranking.pairs, 'pair')}"
    if ranking.untested == ranking.pairs:
        said = "No pair of runs has an interval, so none is told apart, and this order says nothing."
    elif not ranking.apart:
        said = f"No two runs are told apart ({level}), so this order says nothing."
    else:
        said = (
            f"{amount(ranking.apart, 'pair')} told apart ({level}); tied runs are not. Where a place is a range, "
            "the order is open; all places together are right in 95 % of cases."
        )
    if 0 < ranking.untested < ranking.pairs:
        said += f" {amount(ranking.untested, 'pair')} have no interval."
    console.print(f"{said}\n")


def _metrics(console: Console, comparison: Comparison) -> None:
    """What the trainers logged, and where it was read."""
    shown = comparison.metrics
    if not shown.names:
        console.print("".join(f"{printable(note)}\n" for note in comparison.joined.notes), end="")
        console.print("No metrics of the trainers lie beside the logs: --metrics RUN=PATH names them.\n")
        return
    console.print("Training metrics: means over the last tenth, or the one value there with its interval")
    for page in _pages(metrics_sheet(comparison), console.width):
        console.print(_table(page))
    if shown.cut:
        steps = ", ".join(f"{name} {step:,}" for name, step in shown.cut.items())
        console.print(printable(f"Up to the last step that all runs have, where some go on: {steps}."))
    for note in comparison.joined.notes:
        console.print(printable(note))
    if shown.others:
        more = f" and {len(shown.others) - NAMED} more" if len(shown.others) > NAMED else ""
        console.print(printable(f"With --metric also: {', '.join(shown.others[:NAMED])}{more}."))
    console.print()


def _reach(console: Console, comparison: Comparison) -> None:
    reach = comparison.reach
    if reach.runs and reach.level is not None:
        window = f"over {reach.window} steps" if reach.window > 1 else "of a step"
        console.print(f"\nFirst step with a mean reward {window} of {number(reach.level)} [could be, surely is]")
        console.print(_table(Sheet(["", "", ""], reach_rows(comparison))))


def _fitting(sheet: Sheet, width: int) -> int | None:
    """At how many columns names of runs must be broken for a table to fit; None where it does not fit even so."""
    for names in range(NAME, SHORT - 1, -1):
        if _names(sheet) + sum(GAP + _width(sheet, at, names) for at in range(1, len(sheet.heads))) <= width:
            return names
    return None


def _pages(sheet: Sheet, width: int) -> Iterator[Sheet]:
    """The columns of a table in tables that fit a width, each with the first column."""
    page, room = [0], width - _names(sheet)
    for at in range(1, len(sheet.heads)):
        needed = GAP + _width(sheet, at)
        if needed > room and len(page) > 1:
            yield _columns(sheet, page)
            page, room = [0], width - _names(sheet)
        page.append(at)
        room -= needed
    yield _columns(sheet, page)


def _names(sheet: Sheet) -> int:
    """Columns of the terminal that the first column has at least."""
    return min(max((len(row[0]) for row in sheet.rows), default=0), NAME if sheet.rows[0][0] != "method" else LABEL)


def _width(sheet: Sheet, at: int, names: int = NAME) -> int:
    """Columns of the terminal that a column of numbers needs: for its longest number, and the words of its head."""
    head, numbers = sheet.heads[at], max(len(row[at]) for row in sheet.rows if row[0] != "method")
    numbers = min(numbers, RANGE) if head.endswith(RANGES) else numbers
    longest = max((len(word) for word in head.split()), default=0)
    return max(min(longest, names), min(len(head), HEAD if " " in head else 0), numbers)


def _columns(sheet: Sheet, chosen: list[int]) -> Sheet:
    return Sheet([sheet.heads[at] for at in chosen], [[row[at] for at in chosen] for row in sheet.rows])


def _table(sheet: Sheet, names: int = NAME) -> Table:
    """Columns without lines; what a log names is shown as text."""
    table = Table(box=None, pad_edge=False, padding=(0, GAP, 0, 0))
    # Names of runs come from logs: what could command a terminal is written as an escape.
    for at, head in enumerate(sheet.heads):
        # A long name is broken, not cut off; a number is not, while there is room.
        width = None if head in TEXTS else _width(sheet, at, names)
        least = _names(sheet) if not at else width  # rich would cut numbers off to make room
        table.add_column(printable(head), overflow="fold", width=width, min_width=least)
    for row in sheet.rows:
        table.add_row(*map(printable, row))
    return table
