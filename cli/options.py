"""Options that every command shares that reads a log, and what they mean to the reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grpo_prm.logs import ReadOptions

PANEL = "Reading"
WHAT_A_LOG_IS = (
    "Files, folders, archives (.zip, .tar.gz), globs in quotes, addresses (https, s3, gs, hf) or data sets of the "
    "Hugging Face hub; - is standard input. What one is taken for: `grpo-prm inspect`."
)
WHAT_STD_IS = (
    "What divides the advantage: nothing (none, as Dr. GRPO), or the standard deviation of the group's rewards over "
    "n - 1 (sample) or n (population)"
)
Logs = Annotated[list[str], typer.Argument(help=WHAT_A_LOG_IS, metavar="LOGS...", show_default=False)]
Format = Annotated[
    str | None,
    typer.Option(
        help="Name of the format: trl, verl, slime, ...; a wrong name lists all. (default: by content)",
        rich_help_panel=PANEL,
    ),
]
Columns = Annotated[
    list[str] | None,
    typer.Option(
        help='Which column of the log is which of ours: "completion=said,reward=infos.r"; "mask=-": take none.',
        metavar="OURS=THEIRS,...",
        rich_help_panel=PANEL,
    ),
]
Reward = Annotated[
    str | None,
    typer.Option(
        help='The reward: a column, or a sum such as "short+0.5*has_e".', metavar="EXPRESSION", rich_help_panel=PANEL
    ),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        help="For logs without token ids: a tokenizer.json, its folder, smollm2 or a name on the Hugging Face hub. "
        "(default: text is cut into words and signs as GPT-2 does it)",
        metavar="NAME_OR_PATH",
        rich_help_panel=PANEL,
    ),
]
GroupSize = Annotated[
    int | None,
    typer.Option(
        help="How many completions a group has, where a prompt was drawn more than once. (default: the commonest size)",
        min=2,
        rich_help_panel=PANEL,
    ),
]
DropUneven = Annotated[
    bool, typer.Option("--drop-uneven", help="Leave out groups of another size than most.", rich_help_panel=PANEL)
]
Keep = Annotated[
    list[str] | None,
    typer.Option(help="Keep further columns of the log.", metavar="COLUMN,...", rich_help_panel=PANEL),
]
Run = Annotated[str | None, typer.Option(help="Name of the run. (default: from the path)", rich_help_panel=PANEL)]

Memory = Annotated[
    str | None,
    typer.Option(
        help="Take no more memory than about this: 800M, 2G. (default: half of what is free)",
        metavar="SIZE",
        rich_help_panel=PANEL,
    ),
]


def reader_options(
    format: str | None = None,
    columns: list[str] | None = None,
    reward: str | None = None,
    tokenizer: str | None = None,
    group_size: int | None = None,
    drop_uneven: bool = False,
    keep: list[str] | None = None,
    run: str | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    memory: str | None = None,
) -> ReadOptions:
    """Put the options of a command together for the reader.

    Raises:
        UsageError: `--columns` is not a list of OURS=THEIRS, or names one of ours twice.
    """
    from grpo_prm.logs import ReadOptions
    from grpo_prm.machine import memory_of

    return ReadOptions(
        format=format,
        columns=_mapping(columns or []),
        reward=reward,
        tokenizer=tokenizer,
        group_size=group_size,
        drop_uneven=drop_uneven,
        keep=tuple(names(keep) or ()),
        run=run,
        progress=progress,
        memory=memory_of(memory) if memory else None,
    )


def _mapping(given: list[str]) -> dict[str, str]:
    """Parse `completion=response,reward=infos.r`."""
    from grpo_prm.errors import UsageError

    mapping: dict[str, str] = {}
    for pair in (pair for text in given for pair in text.split(",") if pair.strip()):
        ours, equals, theirs = (part.strip() for part in pair.partition("="))
        if not (ours and equals and theirs):
            raise UsageError(f"--columns {pair}: not a pair. Write it like completion=response,reward=infos.r.")
        if mapping.setdefault(ours, theirs) != theirs:
            raise UsageError(f"--columns {ours}: it is given as {mapping[ours]} and as {theirs}. Give it once.")
    return mapping


def names(given: list[str] | None) -> list[str] | None:
    """Names given one by one or with commas between; None where none are."""
    return [name.strip() for part in given or [] for name in part.split(",") if name.strip()] or None
