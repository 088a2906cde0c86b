"""`grpo-prm export`: the implicit process reward model of a log as training data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

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

EXAMPLES = """
Examples:

    grpo-prm export rollouts.jsonl --to spans

    grpo-prm export dump/ --to stepwise --labels sign --exclude-zero-variance

    grpo-prm export rollouts.parquet --to tokens --min-certainty 0.95 --out prm.parquet
"""


def export(
    logs: Logs,
    to: Annotated[
        Literal["spans", "tokens", "stepwise", "math-shepherd", "prm800k"],
        typer.Option(
            help="Format of the file: a label for each step (spans) or token (tokens), or solutions as TRL (stepwise), "
            "Math-Shepherd or PRM800K have them.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="The file. (default: NAME.FORMAT.jsonl or .parquet; FIRST-LAST of several logs)"
        ),
    ] = None,
    labels: Annotated[
        Literal["mean", "sign", "threshold"] | None,
        typer.Option(
            help="The label of a step: its mean reward R (mean), whether its mean advantage A is above 0 (sign), or R "
            "at least --threshold (threshold). (default: mean for spans and tokens, else sign)"
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Mean reward R from which on a step is good.", metavar="T")
    ] = None,
    min_members: Annotated[
        int,
        typer.Option(
            help="Completions that must share a step that gets a label; with 1, R may be one completion's reward.",
            min=1,
        ),
    ] = 2,
    min_certainty: Annotated[
        float | None,
        typer.Option(
            help="Only steps whose R differs so surely from the group's mean, 0 to 1; 0.95: outside the 95 % interval."
        ),
    ] = None,
    exclude_zero_variance: Annotated[
        bool, typer.Option("--exclude-zero-variance", help="Leave out groups whose rewards are all equal.")
    ] = False,
    exclude_mixed_prompts: Annotated[
        bool,
        typer.Option("--exclude-mixed-prompts", help="Leave out groups that hold completions of different prompts."),
    ] = False,
    exclude_tool_output: Annotated[
        bool,
        typer.Option(
            "--exclude-tool-output",
            help="Leave out rows that hold tool output, or turns of others than the model (formats of solutions).",
        ),
    ] = False,
    exclude_missing_prompts: Annotated[
        bool,
        typer.Option("--exclude-missing-prompts", help="Leave out rows without a prompt (formats of solutions)."),
    ] = False,
    min_words: Annotated[
        int,
        typer.Option(
            help="Least words of a labelled step: a shorter one is put to the next (formats of solutions).", min=0
        ),
    ] = 0,
    std: Annotated[
        Literal["sample", "population", "none", "batch"] | None,
        typer.Option(
            help=f"{WHAT_STD_IS}, or of the whole step (batch). (default: the one that gives the logged advantages, "
            "else sample)"
        ),
    ] = None,
    advantage: Annotated[
        Literal["computed", "logged"], typer.Option(help="Advantages from the rewards, or as the log has them.")
    ] = "computed",
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing and exit with 4 if a row was rejected.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print what was counted as JSON on stdout.")] = False,
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
    """Write the mean reward or advantage of each step as training data for a process reward model."""
    from json import dumps

    from grpo_prm.export import ExportOptions
    from grpo_prm.export import export as write

    from .progress import progress_bar

    options = ExportOptions(
        labels=labels,
        threshold=threshold,
        min_members=min_members,
        min_certainty=min_certainty,
        exclude_zero_variance=exclude_zero_variance,
        exclude_mixed_prompts=exclude_mixed_prompts,
        min_words=min_words,
        exclude_tool_output=exclude_tool_output,
        exclude_missing_prompts=exclude_missing_prompts,
        std=std,
        advantage=advantage,
    )
    out = out or default_file(logs, to)
    check_file(out, logs, to)
    with progress_bar("exporting") as progress:
        reading = reader_options(
            format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, progress, memory
        )
        done = write(logs, out, to, options, reading=reading, strict=strict)
    if json:
        typer.echo(dumps({"out": str(out), **done}, indent=2))
    say(done, str(out))


def default_file(logs: list[str], to: str) -> Path:
    """NAME.FORMAT.jsonl or .parquet in the working directory; FIRST-LAST.FORMAT.jsonl of several logs."""
    from .naming import default_folder

    return Path(f"{default_folder(logs).stem}.{to}{'.parquet' if to == 'tokens' else '.jsonl'}")


def check_file(out: Path, logs: list[str], to: str) -> None:
    """Refuse a name that would mislead, a folder, and the log itself."""
    from grpo_prm.errors import UsageError
    from grpo_prm.export import FORMATS

    suffix = FORMATS[to].suffix
    if out.suffix != suffix or out.is_dir():
        raise UsageError(f"{out}: --to {to} writes a {suffix} file. Name such a file with --out.")
    if out.exists() and any(Path(log).exists() and out.samefile(log) for log in logs):
        raise UsageError(f"{out}: is the log itself. Name another file with --out.")


def say(done: dict[str, Any], out: str) -> None:
    """Print on stderr what was written and what was left out."""
    from grpo_prm.export.sentences import sentences
    from grpo_prm.text.printable import printable

    for sentence in sentences(done, out):
        typer.echo(printable(sentence), err=True)
