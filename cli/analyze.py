"""`grpo-prm analyze`: overlap, implicit step rewards and defects of a rollout log, with figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from .naming import default_folder
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
    from grpo_prm.analysis.options import Options
    from grpo_prm.analysis.tables import Tables
    from grpo_prm.logs import ReadOptions

EXAMPLES = """
Examples:

    grpo-prm analyze rollouts.jsonl

    grpo-prm analyze rollouts.jsonl --full

    grpo-prm analyze rollouts.jsonl --fail-on teaches_nothing,copies     # exit code 6 in a pipeline

    grpo-prm analyze out/completions --reward "short+0.5*has_e"

    grpo-prm analyze rollouts.jsonl --baseline-by task     # cross-prompt groups within each task of a mix

    grpo-prm analyze agents.jsonl --share state     # equal observations, not only equal prefixes

    grpo-prm analyze out/completions --follow     # of a run that goes on; Ctrl-C ends it with the summary

    zcat rollouts.jsonl.gz | grpo-prm analyze - --out rollouts.prm

    grpo-prm analyze "runs/*.jsonl" s3://bucket/run/completions logs.tar.gz --out all.prm

    grpo-prm analyze runs/ --workers 8 --out runs.prm

    grpo-prm analyze /shared/runs --engine ray --address auto --out /shared/runs.prm

    grpo-prm analyze dump/ --tokenizer Qwen/Qwen2.5-1.5B --out qwen.prm --json > qwen.json
"""

DRAWING = "drawing figures (--no-figures leaves them out)"


def analyze(
    logs: Logs,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for tables and figures. (default: NAME.prm; FIRST-LAST.prm of several logs)"
        ),
    ] = None,
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
    seed: Annotated[
        int,
        typer.Option(
            help="Seed of all that is drawn at random: intervals, shuffled rewards, groups of different prompts.", min=0
        ),
    ] = 0,
    outcome: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Part of the reward that says right or wrong: how much advantage is given in groups that are all "
            "right or all wrong?",
        ),
    ] = None,
    baseline_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Compare the overlap with that of different prompts that have the same value of this column, "
            "such as task.",
        ),
    ] = None,
    share: Annotated[
        Literal["prefix", "state"],
        typer.Option(
            help="What completions have in common in a step: their beginning (prefix), or for logs of agents with "
            "masks also what they observe, wherever it comes (state)."
        ),
    ] = "prefix",
    keep_text: Annotated[
        str | None,
        typer.Option(
            metavar="all|N",
            help="Of how many groups, chosen at random, the folder keeps the text, beside the worst and the best. "
            "(default: as many as fill a page)",
        ),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures.")] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the analysis of another log, if the folder holds one.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 4 if a row was rejected.")] = False,
    full: Annotated[bool, typer.Option("--full", help="Print every number, not the three answers alone.")] = False,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            help="Exit with 6 if the log has one of these faults: teaches_nothing, copies, ... (`grpo-prm explain` "
            "lists them). May be given again.",
            metavar="CODE,...",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print summary.json and nothing else on stdout.")] = False,
    format: Format = None,
    columns: Columns = None,
    reward: Reward = None,
    tokenizer: Tokenizer = None,
    group_size: GroupSize = None,
    drop_uneven: DropUneven = False,
    keep: Keep = None,
    run: Run = None,
    memory: Memory = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Share the work among so many processes; every number stays the same."),
    ] = None,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Where the workers run: on this machine, or in a cluster of Ray.")
    ] = "local",
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Head of the cluster of Ray. (default: one is started on this machine)"),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="The log is still written: a line for each step as it comes, and the summary on Ctrl-C."
        ),
    ] = False,
) -> None:
    """Measure how much completions of a prompt share, which rewards GRPO thereby gives to steps, and what to change."""
    import gc
    from dataclasses import replace
    from tempfile import TemporaryDirectory

    from grpo_prm.analysis import heap
    from grpo_prm.analysis.analyze import analyze as measure
    from grpo_prm.analysis.options import Options
    from grpo_prm.analysis.samples import prompts_behind
    from grpo_prm.analysis.texts import checked_keep
    from grpo_prm.analysis.write import PAGE, analysis_folder, note_figures, summary_text, write_tables
    from grpo_prm.errors import FigureError, FindingError, RejectedError, UsageError
    from grpo_prm.text.amounts import amount
    from grpo_prm.text.printable import printable

    from .counting import counted
    from .drawing import drawer
    from .follow import followed
    from .progress import progress_bar, working
    from .screen import show_doubts, show_summary, show_verdict

    heap.share()
    failing, failed = _codes(fail_on), {}
    by_workers = bool(workers or address) or engine != "local"
    if follow and by_workers:
        raise UsageError("--follow reads a log as it comes, in one process. Leave --workers and --engine out.")
    gc.freeze()  # what was imported stays, so the collector need not go through it again and again
    out = out or default_folder(logs)
    reading = reader_options(format, columns, reward, tokenizer, group_size, drop_uneven, keep, run, memory=memory)
    drawn = [name for name in (PAGE, "figures") if (out / name).exists()]
    with analysis_folder(out, logs, overwrite=overwrite) as folder, TemporaryDirectory(dir=folder) as spill_folder:
        log, spill = followed(logs, reading) if follow else logs, Path(spill_folder)
        with drawer(wanted=figures) as helper:
            with progress_bar("reading") as progress:
                reading, options = (
                    replace(reading, progress=progress),
                    Options(std, advantage, seed, outcome, baseline_by, share, checked_keep(keep_text)),
                )
                if by_workers:
                    analysis = _by_workers(log, options, reading, spill, engine, workers, address)
                else:
                    analysis = measure(log, options, reading=reading, spill=spill)
            with working("writing tables"):
                write_tables(analysis, folder)
            if figures:
                with working(DRAWING) as move, counted(folder / "figures", move):
                    failed = helper.draw(folder)
                if failed:
                    from grpo_prm.figures.plotting import not_drawn

                    note_figures(analysis, folder, failed)
                    typer.echo(f"Note: {printable(not_drawn(failed))}", err=True)
    if old := [name for name in drawn if not (out / name).exists()]:
        typer.echo(
            f"Note: {' and '.join(old)} in {printable(str(out))} showed the earlier analysis and went with it.",
            err=True,
        )
    if json:
        typer.echo(summary_text(analysis), nl=False)
    else:
        show_doubts(analysis.summary)
        show_verdict(analysis.summary, str(out), whole=full)
        if full:
            show_summary(analysis.summary, str(out), prompts_behind(analysis.samples), figures=figures)
    if strict and (rejected := analysis.summary["counts"]["rejected"]):
        rows = amount(rejected, "row was", "rows were")
        raise RejectedError(f"{rows} rejected. {out}/rejects.jsonl names file, line, field and reason of each.")
    if found := [finding["code"] for finding in analysis.summary["verdict"]["findings"] if finding["code"] in failing]:
        raise FindingError(
            f"The log has {', '.join(found)}, which --fail-on names. {out}/summary.json has the numbers, "
            f"grpo-prm explain {found[0]} what to do."
        )
    if failed:
        raise FigureError(f"{out}/figures lacks {', '.join(failed)}: summary.json says why, and has every number.")


def _by_workers(
    log: Any,
    options: Options,
    reading: ReadOptions,
    spill: Path,
    engine: Literal["local", "ray"],
    workers: int | None,
    address: str | None,
) -> Tables:
    from grpo_prm.engines.analyze import analyze_with
    from grpo_prm.engines.engine import workers_of

    with workers_of(engine, workers or (None if engine == "ray" else 1), address) as pool:
        return analyze_with(pool, log, options, reading, spill)


def _codes(given: list[str] | None) -> set[str]:
    """The codes of --fail-on, checked before anything is read."""
    from grpo_prm.analysis.findings import checked

    return checked((code.strip() for part in given or () for code in part.split(",")), "--fail-on")
