"""`grpo-prm inspect`: what a log is, as far as it was understood, and what will be left out and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grpo_prm.text.amounts import amount

from .options import Columns, DropUneven, Format, GroupSize, Keep, Logs, Memory, Reward, Run, Tokenizer, reader_options

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
    memory: Memory = None,
) -> None:
    """Show how a log is read: format, columns, training steps, groups, tokens, what is inferred, what is left out."""
    from grpo_prm.logs import inspect as inspect_logs

    from .progress import progress_bar

    with progress_bar("reading") as progress:
        inspection = inspect_logs(
            logs,
            reader_options(format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, progress, memory),
        )
    if json:
        typer.echo(as_json(inspection))
    else:
        show(inspection)


def as_json(inspection: Inspection) -> str:
    """Every field of the inspection, under its name."""
    from dataclasses import asdict

    from grpo_prm.json_text import json_text

    rejected = [reason._asdict() for reason in inspection.rejected]
    fields = asdict(inspection) | {"group_size": inspection.group_size, "rejected": rejected}
    return json_text(fields, indent=2)


def show(inspection: Inspection) -> None:
    """Print an inspection as a table on stdout."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from grpo_prm.text.printable import printable

    from .screen import trimmed

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for title, lines in _rows(inspection):
        table.add_row(title, Text(printable("\n".join(lines), "\n")))  # text of a log may hold escape sequences
    console = Console(markup=False, highlight=False, emoji=False)
    with trimmed(console):
        console.print(table)


def _rows(inspection: Inspection) -> Iterator[tuple[str, list[str]]]:
    """The rows of the table on screen."""
    # One row of the table each: its title, and its lines.
    yield "files", [_files(inspection.files)]
    yield "format", [", ".join(inspection.formats)]
    yield "runs", [_some(inspection.runs, 6)]
    yield "columns", [", ".join(a if a == b else f"{a} = {b}" for a, b in inspection.columns.items())]
    yield "steps", [_steps(inspection.steps)]
    completions = amount(inspection.completions, "completion")
    between = ", " if inspection.prompt_tokens else ": "
    yield "unit", [UNITS[inspection.tokens_from], f"{completions}{between}{_masks(inspection)}"]
    yield "groups", list(_groups(inspection))
    if inspection.missing:
        yield "missing", list(inspection.missing)
    yield "left out", list(_left_out(inspection))
    if notes := [note for note in inspection.notes if not note.startswith("Columns: ")]:  # they stand above
        yield "notes", notes


def _masks(inspection: Inspection) -> str:
    from grpo_prm.text.masks import in_the_loss

    return in_the_loss(inspection.tokens, inspection.loss_tokens, inspection.unit, inspection.prompt_tokens)


def _steps(steps: Mapping[str, int] | None) -> str:
    if not steps:
        return "none logged"
    one = steps["count"] == 1
    return f"{steps['first']} only" if one else f"{steps['first']} to {steps['last']}, {steps['count']:,} logged"


def _files(files: Sequence[str]) -> str:
    """Names of the files, those of one folder without it; of packed ones how."""
    from grpo_prm.logs.refusals import packing_of

    packings = dict.fromkeys(filter(None, map(packing_of, files)))
    return _names(files) + (f" (packed: {', '.join(packings)})" if packings else "")


def _names(files: Sequence[str]) -> str:
    folders = {Path(name).parent for name in files}
    if len(files) == 1 or len(folders) > 1:
        return _some(files, 3)
    return f"{len(files)} in {folders.pop()}: {_some([Path(name).name for name in files], 3)}"


def _some(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _groups(inspection: Inspection) -> Iterator[str]:
    sizes = sorted(inspection.group_sizes.items(), key=lambda size_and_count: -size_and_count[1])
    counts = _some([f"{count:,} of {size}" for size, count in sizes], 6)
    yield f"{counts} completions" if len(sizes) == 1 else f"{inspection.groups:,}: {counts} completions"
    if inspection.groups_uneven:
        groups = amount(inspection.groups_uneven, "group is", "groups are")
        yield f"{groups} not of the usual size, and kept all the same (--drop-uneven leaves them out)"
    if inspection.groups_split:
        prompts = amount(inspection.groups_split, "prompt was", "prompts were")
        yield f"{prompts} drawn more than once in a step and split"


def _left_out(inspection: Inspection) -> Iterator[str]:
    """Rows by the reason for which they are rejected, then groups and files that no statistic uses."""
    from grpo_prm.logs.rollouts import location

    rows = sum(reason.rows for reason in inspection.rejected)
    read = amount(inspection.rows_read, "row")
    yield f"{rows:,} of {read}" if rows else f"none of {read}"
    for reason in inspection.rejected[:8]:
        where = location(reason.file, reason.line)
        what = f"{reason.field}: {reason.reason}" if reason.field else reason.reason
        yield f"{reason.rows:,}: {what}; first {where}" + (f": {reason.raw[:120]}" if reason.raw else "")
    if len(inspection.rejected) > 8:
        yield f"and {amount(len(inspection.rejected) - 8, 'more reason')} (--json has all)"
    if inspection.groups_of_one:
        yield f"{amount(inspection.groups_of_one, 'group', 'groups')} of one completion, of every statistic"
    if inspection.files_repeated:
        yield f"{amount(inspection.files_repeated, 'file that repeats', 'files that repeat')} an earlier one"
