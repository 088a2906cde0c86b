"""`grpo-prm inspect`: what a log is, as far as it was understood, and what will be left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .options import Columns, DropUneven, Format, GroupSize, Keep, Logs, Reward, Run, Tokenizer, reader_options

if TYPE_CHECKING:
    from grpo_prm.logs import Inspection

EXAMPLES = """
Examples:

    grpo-prm inspect rollouts.jsonl

    grpo-prm inspect out/completions --reward "short+0.5*has_e"

    grpo-prm inspect samples.csv --columns completion=answer_text,reward=is_right --json
"""
UNITS = {
    "log": "token ids as logged",
    "tokenizer": "token ids made from text with the tokenizer",
    "pieces": "pieces of text (GPT-2 pre-tokenisation), since the log has no token ids; --tokenizer makes tokens of it",
}


def inspect(
    logs: Logs,
    json: Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")] = False,
    format: Format = None,
    columns: Columns = None,
    reward: Reward = None,
    tokenizer: Tokenizer = None,
    group_size: GroupSize = None,
    drop_uneven: DropUneven = False,
    keep: Keep = None,
    run: Run = None,
) -> None:
    """Show what a log is taken for: format, columns, steps, groups, unit, and what will be left out and why."""
    from grpo_prm.logs import inspect as look

    from .progress import progress_bar

    with progress_bar("reading") as progress:
        found = look(
            logs, reader_options(format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, progress)
        )
    if json:
        typer.echo(as_json(found))
    else:
        show(found)


def as_json(found: Inspection) -> str:
    """All that was found, under the names of `Inspection`."""
    from dataclasses import asdict
    from json import dumps

    rejected = [reason._asdict() for reason in found.rejected]
    return dumps(asdict(found) | {"group_size": found.group_size, "rejected": rejected}, indent=2, ensure_ascii=False)


def show(found: Inspection) -> None:
    """Print it as a table on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from grpo_prm.text.printable import printable

    from .page import trimmed

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, lines in _rows(found):
        table.add_row(title, Text(printable("\n".join(lines), "\n")))
    console = Console(markup=False, highlight=False, emoji=False)
    with trimmed(console):
        console.print(table)


def _rows(found: Inspection) -> Iterator[tuple[str, list[str]]]:
    yield "files", [_files(found.files)]
    yield "format", [", ".join(found.formats)]
    yield "runs", [_some(found.runs, 6)]
    yield "columns", [", ".join(a if a == b else f"{a} = {b}" for a, b in found.columns.items())]
    yield "steps", [_steps(found.steps)]
    yield "unit", [f"{UNITS[found.tokens_from]}: {found.tokens:,} in {found.completions:,} completions"]
    yield "groups", list(_groups(found))
    if found.missing:
        yield "missing", list(found.missing)
    yield "left out", list(_left_out(found))
    if notes := [note for note in found.notes if not note.startswith("Columns: ")]:  # they stand above
        yield "notes", notes


def _steps(steps: Mapping[str, int] | None) -> str:
    if not steps:
        return "none logged"
    one = steps["count"] == 1
    return f"{steps['first']} alone" if one else f"{steps['first']} to {steps['last']}, {steps['count']:,} logged"


def _files(files: Sequence[str]) -> str:
    """Names of the files, those of one folder without it."""
    folders = {Path(name).parent for name in files}
    if len(files) == 1 or len(folders) > 1:
        return _some(files, 3)
    return f"{len(files)} in {folders.pop()}: {_some([Path(name).name for name in files], 3)}"


def _some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _groups(found: Inspection) -> Iterator[str]:
    sizes = sorted(found.group_sizes.items(), key=lambda pair: -pair[1])
    yield f"{found.groups:,}: {_some([f'{count:,} of {size}' for size, count in sizes], 6)}"
    if found.groups_uneven:
        groups = _of(found.groups_uneven, "group is", "groups are")
        yield f"{groups} not of the usual size, and kept all the same (--drop-uneven leaves them out)"
    if found.groups_split:
        yield f"{_of(found.groups_split, 'prompt was', 'prompts were')} drawn more than once in a step and split"


def _left_out(found: Inspection) -> Iterator[str]:
    rows = sum(reason.rows for reason in found.rejected)
    yield f"{rows:,} of {found.rows_read:,} rows" if rows else f"none of {found.rows_read:,} rows"
    for reason in found.rejected[:8]:
        where = reason.file + (f":{reason.line}" if reason.line is not None else "")
        what = f"{reason.field}: {reason.reason}" if reason.field else reason.reason
        yield f"{reason.rows:,}: {what}; first {where}" + (f": {reason.raw[:120]}" if reason.raw else "")
    if len(found.rejected) > 8:
        yield f"and {len(found.rejected) - 8} more reasons (--json has all)"
    if found.groups_of_one:
        yield f"{_of(found.groups_of_one, 'group', 'groups')} of one completion, of every statistic"
    if found.files_repeated:
        yield f"{_of(found.files_repeated, 'file that repeats', 'files that repeat')} an earlier one"


def _of(count: int, one: str, several: str) -> str:
    """A count and what is counted."""
    return f"{count:,} {one if count == 1 else several}"
