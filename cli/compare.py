"""`grpo-prm compare`: runs side by side, their differences with intervals, and how soon each reaches a reward."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from grpo_prm.compare.comparison import Comparison

EXAMPLES = """
Examples:

    grpo-prm compare grpo.prm lambda.prm

    grpo-prm compare grpo.prm half.prm one.prm --level 0.6 --out runs.compare

    grpo-prm compare sweep.prm --json > sweep.json
"""


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of grpo-prm analyze; others are compared with the first run.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for the results. (default: FIRST-LAST.compare)")] = None,
    level: Annotated[
        float | None,
        typer.Option(help="Reward to reach. (default: nine tenths of the way to the best that every run reaches)"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the resamples.", min=0)] = 0,
    venue: Annotated[
        str, typer.Option(help="Where the figure will stand: column, icml, neurips, iclr, acl, aaai, beamer or web.")
    ] = "column",
    format: Annotated[
        list[str] | None,
        typer.Option(help="pdf, png, svg, pgf. May be given again. (default: pdf,png)", metavar="FORMAT,..."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json and nothing else on stdout.")] = False,
) -> None:
    """Compare overlap, defects, reward and accuracy of runs, paired by training step or prompt."""
    from grpo_prm.compare.comparison import compare as measure
    from grpo_prm.compare.write import comparison_text, write_comparison

    from .options import names
    from .progress import working

    with working("comparing"):
        comparison = measure(folders, level=level, seed=seed)
    out = out or Path(f"{_stem(folders[0])}-{_stem(folders[-1])}.compare")
    with working("writing"):
        write_comparison(comparison, out, venue=venue, formats=names(format) or ("pdf", "png"))
    if json:
        typer.echo(comparison_text(comparison), nl=False)
    else:
        _show(comparison, out)


def _stem(folder: Path) -> str:
    # Resolved first: `.` has no name of its own.
    return folder.resolve().name.removesuffix(".prm") or "runs"


def _show(comparison: Comparison, out: Path) -> None:
    """Print the tables and what to know about them."""
    from rich.console import Console

    from grpo_prm.compare.comparison import ABOUT
    from grpo_prm.compare.tables import heads, reach_rows, rows
    from grpo_prm.text.amounts import number
    from grpo_prm.text.printable import printable

    from .screen import trimmed

    console = Console(markup=False, highlight=False, emoji=False)
    with trimmed(console):
        console.print(_table(heads(comparison), rows(comparison)))
        console.print("Differences of shares are in points; * where the interval leaves 0 outside.\n")
        for sentence in (comparison.common.sentence, ABOUT, *comparison.notes):
            console.print(printable(sentence))
        if comparison.reach.runs and comparison.reach.level is not None:
            window = f"over {comparison.reach.window} steps" if comparison.reach.window > 1 else "of a step"
            console.print(
                f"\nFirst step with a mean reward {window} of {number(comparison.reach.level)} [could be, surely is]"
            )
            console.print(_table(["", "", ""], reach_rows(comparison)))
        where = printable(str(out))
        console.print(f"\nEvery number is in {where}/comparison.json, the curves in {where}/figures.")


def _table(heads: list[str], rows: list[list[str]]) -> Table:
    """Columns without lines; what a log names is shown as text."""
    from rich.table import Table

    from grpo_prm.text.printable import printable

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    # Names of runs come from logs: what could command a terminal is written as an escape.
    for head in heads:
        table.add_column(printable(head), overflow="fold")  # a long name is broken, not cut off
    for row in rows:
        table.add_row(*map(printable, row))
    return table
