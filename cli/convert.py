"""`grpo-prm convert`: any log to the canonical table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpo_prm.text.amounts import amount

from .options import (
    WHAT_A_LOG_IS,
    Columns,
    DropUneven,
    Format,
    GroupSize,
    Keep,
    Memory,
    Reward,
    Run,
    Tokenizer,
    reader_options,
)

EXAMPLES = """
Examples:

    grpo-prm convert dump/ rollouts.parquet

    grpo-prm convert out/completions rollouts.jsonl --tokenizer model/tokenizer.json --keep n_chars

    zcat rollouts.jsonl.gz | grpo-prm convert - rollouts.parquet
"""


def convert(
    logs: Annotated[list[str] | None, typer.Argument(help=WHAT_A_LOG_IS, metavar="LOGS...", show_default=False)] = None,
    out: Annotated[
        Path | None, typer.Argument(help="The table: .parquet or .jsonl.", metavar="OUT", show_default=False)
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing and exit with 4 if a row was rejected.")
    ] = False,
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
    """Write any log as one table with fixed columns, one row per completion, which every command reads as it is."""
    from grpo_prm.errors import RejectedError, UsageError
    from grpo_prm.logs import collect
    from grpo_prm.logs.rollouts import location, save
    from grpo_prm.text.printable import printable

    from .progress import progress_bar, working

    if out is None or not logs:
        given = f"{out} is given alone" if out else "nothing is given"
        raise UsageError(f"convert: {given}. Name a log and then the table: grpo-prm convert LOG OUT.parquet.")
    if out.suffix not in (".parquet", ".jsonl") or out.is_dir():
        raise UsageError(f"{out}: a table is written as .parquet or .jsonl. Name such a file last.")
    # The log is read to its end before the table is written over it, but the log itself would be lost.
    if out.exists() and any(Path(log).exists() and out.samefile(log) for log in logs):
        raise UsageError(f"{out}: is the log itself. Name another file last.")
    with progress_bar("reading") as progress:
        rollouts = collect(
            logs,
            reader_options(format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, progress, memory),
        )
    if strict and len(rollouts.rejected):
        first = rollouts.rejected.row(0, named=True)
        where, rows = location(first["file"], first["line"]), amount(len(rollouts.rejected), "row was", "rows were")
        raise RejectedError(
            f"{where}: {first['field'] or 'row'}: {printable(first['reason'])}; "
            f"{rows} rejected. See them with grpo-prm inspect, or leave --strict out."
        )
    with working("writing the table"):
        save(rollouts, out)
    for note in rollouts.notes:
        typer.echo(printable(note), err=True)
    read = f"{amount(len(rollouts.table), 'completion')} in {amount(rollouts.table['group'].n_unique(), 'group')}"
    typer.echo(f"{out}: {read}; {amount(len(rollouts.rejected), 'row was', 'rows were')} rejected.", err=True)
