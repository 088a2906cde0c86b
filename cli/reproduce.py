"""`grpo-prm reproduce`: the paper's claims, each measured again and judged by a rule that is fixed before the run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from grpo_prm.reproduce.run import Outcome

EXAMPLES = """
Examples:

    grpo-prm reproduce

    grpo-prm reproduce defect binary-tree --seeds 50 --out tree.claims

    grpo-prm reproduce overlap --log rollouts.jsonl

    grpo-prm reproduce --budget standard --resume

    grpo-prm reproduce openrs-training --budget standard --dry-run
"""
NOT_REPRODUCED = 5
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="CLAIM",
        help="Any of identity, overlap, overlap-growth, defect, binary-tree, training, bias, prm-quality, overhead, "
        "openrs, openrs-training. (default: all)",
        show_default=False,
    ),
]
BudgetOption = Annotated[
    Literal["quick", "standard", "full"],
    typer.Option(help="quick: 3 minutes on two cores; standard: an hour and a half; full: a day or more."),
]
Seeds = Annotated[int | None, typer.Option(help="Fresh seeds of every comparison. (default: by budget)")]
Workers = Annotated[
    int | None,
    typer.Option(help="Processes side by side. (default: one a GPU, which it has for itself, or a core with 1 GB)"),
]
Part = Annotated[
    str,
    typer.Option(
        metavar="N/M", help="On several machines: of all runs the N-th part of M; --resume without --part judges them."
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be run and what it costs; run nothing.")]
Backend = Annotated[
    Literal["own", "trl"] | None,
    typer.Option(help="openrs-training: what trains, our trainer or TRL's. (default: own)", show_default=False),
]
Vllm = Annotated[bool, typer.Option("--vllm", help="openrs-training: sample with vLLM; needs --backend trl.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of results and of the record of every run.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on in --out: runs with a record are not run again.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Log = Annotated[
    list[str] | None,
    typer.Option("--log", help="overlap, overlap-growth: a log of yours beside our runs. May be given again."),
]
Model = Annotated[str | None, typer.Option(help="openrs-training: folder or hub name of the model.")]
Data = Annotated[str | None, typer.Option(help="openrs-training: prompts with answers; a file, or NAME of a hub set.")]
EvalData = Annotated[
    list[str] | None,
    typer.Option("--eval-data", help="openrs-training: a benchmark, given like --data. May be given again."),
]


def reproduce(
    claims: Names = None,
    budget: BudgetOption = "quick",
    seeds: Seeds = None,
    workers: Workers = None,
    out: Out = Path("grpo.claims"),
    resume: Resume = False,
    seed: Seed = 0,
    log: Log = None,
    model: Model = None,
    data: Data = None,
    eval_data: EvalData = None,
    backend: Backend = None,
    vllm: Vllm = False,
    part: Part = "1/1",
    dry_run: DryRun = False,
) -> None:
    """Measure the paper's claims again; each gets one of four words: reproduced, partly, not reproduced, not testable.

    Results do not depend on --workers. Every run leaves a record in OUT/runs, and --resume goes on from there.
    Exit code 5: a claim that holds whenever the code is right did not.
    """
    from grpo_prm.reproduce.results import write_results
    from grpo_prm.reproduce.run import Options, announced, running, with_workers
    from grpo_prm.reproduce.run import reproduce as run

    from .progress import cost_bar

    # By the names of the plans' fields; a claim takes those that its plan has.
    own = {
        "logs": tuple(log or ()), "model": model, "data": data, "eval_data": tuple(eval_data or ()),
        "backend": backend, "vllm": vllm,
    }  # fmt: skip
    options = Options(
        claims=tuple(claims or ()), budget=budget, seeds=seeds, workers=workers, out=out, resume=resume, seed=seed,
        part=_part(part), claim_options=tuple(own.items()),
    )  # fmt: skip
    lines = [*announced(options), *running(options)]
    if dry_run:
        typer.echo("\n".join(lines))
        return
    if model or budget != "quick":  # an hour's work, a night's, or a week's
        typer.echo("\n".join(lines), err=True)
    options = with_workers(options)
    try:
        with cost_bar() as watch:
            outcomes = run(options, watch, lambda so_far: write_results(so_far, options))
    except (KeyboardInterrupt, SystemExit):
        typer.echo("\n".join([*running(options), "go on with the same command and --resume"]), err=True)
        raise
    if options.part != (1, 1) and not outcomes:
        typer.echo(f"the runs of part {part} have their records in {out / 'runs'}; other parts are still to come.")
        typer.echo("next, when all are in one folder: the same command with --resume and without --part")
        return
    _print_verdicts(outcomes, out)
    if any(o.claim.always and o.verdict.word != "reproduced" for o in outcomes):
        raise typer.Exit(NOT_REPRODUCED)


def _part(text: str) -> tuple[int, int]:
    """`2/4` as numbers."""
    from grpo_prm.errors import UsageError

    one, slash, of = text.partition("/")
    if not (slash and one.isdecimal() and of.isdecimal()):
        raise UsageError(f"--part is {text!r}, but must be like 2/4. Give the number of this machine and of all.")
    return int(one), int(of)


def _print_verdicts(outcomes: Sequence[Outcome], out: Path) -> None:
    """The table of verdicts, with the parts of a claim, and where everything is."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, emoji=False)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column("claim", no_wrap=True)
    table.add_column("verdict", style="bold", min_width=19)
    table.add_column("because", overflow="fold")
    for outcome in outcomes:
        verdict = outcome.verdict
        table.add_row(outcome.claim.name, verdict.word, verdict.why)
        for part, word in verdict.parts.items():
            table.add_row("", word, part)
    console.print(table)
    typer.echo(f"page: {out / 'results.md'}; every number: {out / 'claims.json'}; figures: {out / 'figures'}")
