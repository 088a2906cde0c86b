"""`grpo-prm tree`: one group as a tree of process steps, with the reward and advantage that GRPO gives each."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .options import (
    WHAT_STD_IS,
    Columns,
    DropUneven,
    Format,
    GroupSize,
    Keep,
    Logs,
    Memory,
    Reward,
    Run,
    Tokenizer,
    reader_options,
)

if TYPE_CHECKING:
    import polars as pl

    from grpo_prm.core.prm import Std
    from grpo_prm.logs.rollouts import Rollouts

EXAMPLES = """
Examples:

    grpo-prm tree rollouts.jsonl --worst 3

    grpo-prm tree rollouts.jsonl --group 120:p0007 --full

    grpo-prm tree rollouts.prm --worst 10 --tui

    grpo-prm tree rollouts.prm --worst 1 --json
"""


def tree(
    logs: Logs,
    group: Annotated[
        list[str] | None, typer.Option(help="A group by its name, \\[RUN:]STEP:KEY; STEP is - where the log has none.")
    ] = None,
    worst: Annotated[
        int | None,
        typer.Option(
            help="So many groups, those first in which tokens of good completions are most clearly pushed down. "
            "(default: 1)",
            min=1,
        ),
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Show long texts whole.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a JSON list of groups and nothing else.")] = False,
    tui: Annotated[
        bool,
        typer.Option("--tui", help="Walk through the groups with the keyboard; needs pip install 'grpo-prm\\[tui]'."),
    ] = False,
    std: Annotated[
        Literal["sample", "population", "none"] | None,
        typer.Option(
            help=f"{WHAT_STD_IS}. (default: as the folder was analysed; else the one that gives the logged advantages, "
            "or sample)"
        ),
    ] = None,
    advantage: Annotated[
        Literal["computed", "logged"] | None,
        typer.Option(
            help="Advantages from the rewards, or as the log has them. (default: computed, or as the folder was "
            "analysed)"
        ),
    ] = None,
    format: Format = None,
    columns: Columns = None,
    reward: Reward = None,
    tokenizer: Tokenizer = None,
    group_size: GroupSize = None,
    drop_uneven: DropUneven = False,
    keep: Keep = None,
    run: Run = None,
    memory: Memory = None,
) -> None:
    """Show a group as a tree: which tokens completions share, how many do (|λ|), their mean reward R and advantage A.

    A folder that `analyze` wrote shows the groups that it kept: the worst, the best, one for each finding, and others
    at random.
    """
    from json import dumps

    from rich.console import Console

    from grpo_prm.analysis.divisor import find_divisor
    from grpo_prm.errors import UsageError
    from grpo_prm.logs import fold
    from grpo_prm.tree.printed import render
    from grpo_prm.tree.step_text import Cutter
    from grpo_prm.tree.view import find_groups, group_tree, worst_groups

    from .progress import progress_bar

    if group and worst:
        raise UsageError("--group and --worst exclude each other. Give one of them.")
    if tui:
        _needs_a_terminal(json=json, full=full)
        from grpo_prm.tree.app import TreeApp  # before the log is read: the extra may be missing

    done = _analysed_with(logs)
    named, advantage = std or done.get("std"), advantage or done.get("advantage", "computed")
    tokenizer = tokenizer or done.get("tokenizer")

    def choose(batches: Iterator[Rollouts]) -> tuple[Std, list[pl.DataFrame]]:
        used: Std | None = named
        if used is None:
            used, said, batches = find_divisor(batches)
            if said:
                typer.echo(said, err=True)
        if used == "batch":
            typer.echo("Advantages are with --std batch, which one group cannot show: A is with sample.", err=True)
            used = "sample"
        if not group:
            return used, worst_groups(batches, worst or 1, used, advantage)
        try:
            return used, find_groups(chain(batches, _further(logs[0], group)), group)
        except UsageError as error:
            if not done:
                raise
            kept = (
                "A folder keeps the text of its worst and best groups, of one for each finding, and of as many others "
                "as analyze --keep-text says: for the rest name the log itself."
            )
            raise UsageError(f"{error} {kept}") from None

    with progress_bar("reading") as progress:
        reading = reader_options(
            format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, progress, memory
        )
        used, tables = fold([_kept(log) for log in logs], reading, choose)
    cutter = Cutter(tokenizer) if tables else None
    trees = [group_tree(table, used, advantage, cutter) for table in tables]
    if json:
        typer.echo(dumps(trees, allow_nan=False))  # ASCII: no character of the log reaches the terminal
        return
    console = Console(markup=False, highlight=False, emoji=False)
    if not trees:
        console.print("No group has a suppressed-good token: no step of an above-mean completion is pushed down.")
    elif tui:
        app = TreeApp(trees)
        app.run()
        raise typer.Exit(app.return_code or 0)
    for one in trees:
        render(one, console, full=full)
        console.print()


def _needs_a_terminal(*, json: bool, full: bool) -> None:
    from grpo_prm.errors import UsageError

    if json or full:
        raise UsageError("--tui excludes --json and --full. Give one of them.")
    if not all(stream and stream.isatty() for stream in (sys.stdin, sys.stdout, sys.stderr)):  # it draws on the last
        raise UsageError(
            "--tui needs a terminal as standard input, output and error. Leave it out, or name the log instead of -."
        )


def _analysed_with(logs: list[str]) -> dict[str, Any]:
    """Options of the analysis, where one folder of `analyze` is given."""
    from grpo_prm.analysis.folder import read_summary

    return read_summary(Path(logs[0]))["source"]["options"] if len(logs) == 1 and _kept(logs[0]) != logs[0] else {}


def _further(log: str, names: list[str]) -> Iterator[Rollouts]:
    """Groups with one of these names that a folder of `analyze` keeps beside its samples."""
    import polars as pl

    from grpo_prm.logs.rollouts import Rollouts
    from grpo_prm.tree.view import named

    texts = Path(log, "texts.parquet")
    if _kept(log) != log and texts.is_file():
        yield Rollouts(pl.scan_parquet(texts).filter(named(names)).collect())


def _kept(log: str) -> str:
    """In a folder of `analyze`, the rollouts that it kept."""
    samples = Path(log, "samples.parquet")
    return str(samples) if Path(log, "summary.json").is_file() and samples.is_file() else log
