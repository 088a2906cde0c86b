"""`grpo-prm compare`: runs side by side, their differences with intervals, and how soon each reaches a reward."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EXAMPLES = """
Examples:

    grpo-prm compare grpo.prm lambda.prm

    grpo-prm compare grpo.prm half.prm one.prm --level 0.6 --out runs.compare

    grpo-prm compare sweep/*.prm --rank accuracy     # many: a row each

    grpo-prm compare a.prm b.prm --metric reward,kl     # what trainers logged

    grpo-prm compare a.prm b.prm --metrics a=out/trainer_state.json

    grpo-prm compare a.prm b.prm --metrics b=wandb/offline-run-20261101_120000-x1

    grpo-prm compare sweep.prm --json > sweep.json
"""


def compare(
    folders: Annotated[
        list[Path], typer.Argument(help="Folders of grpo-prm analyze; others are compared with the first run.")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results. (default: FIRST-LAST.compare)")
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(
            help="Mean reward: at which step does each run reach it? (default: nine tenths of the way to the best that "
            "every run reaches)"
        ),
    ] = None,
    rank: Annotated[
        str | None,
        typer.Option(
            metavar="STATISTIC", help="Rank the runs by it, such as accuracy or path_depth. (default: reward)"
        ),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RUN=PATH",
            help="Where the training metrics of a run are: a run folder of train, an output folder or "
            "trainer_state.json of TRL, event files of TensorBoard, a wandb folder. May be given again. (default: what "
            "lies beside its rollouts)",
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME,...", help="Show these metrics. May be given again. (default: held-out accuracy and the like)"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the resamples that intervals are made of.", min=0)] = 0,
    venue: Annotated[
        str, typer.Option(help="Where the figures will stand: column, icml, neurips, iclr, acl, aaai, beamer or web.")
    ] = "column",
    format: Annotated[
        list[str] | None,
        typer.Option(help="pdf, png, svg, pgf. May be given again. (default: pdf,png)", metavar="FORMAT,..."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print comparison.json and nothing else on stdout.")] = False,
) -> None:
    """Compare overlap, defects, reward, accuracy and training metrics of runs, paired by training step or prompt."""
    from grpo_prm.compare.comparison import compare as measure
    from grpo_prm.compare.write import comparison_text, write_comparison

    from .compare_view import show
    from .options import names
    from .progress import working

    given, wanted = _paths(metrics or []), names(metric) or ()
    with working("comparing") as move:
        comparison = measure(folders, level=level, seed=seed, by=rank, metrics=given, wanted=wanted, told=move)
    out = out or Path(f"{_stem(folders[0])}-{_stem(folders[-1])}.compare")
    with working("writing"):
        write_comparison(comparison, out, venue=venue, formats=names(format) or ("pdf", "png"))
    if json:
        typer.echo(comparison_text(comparison), nl=False)
    else:
        show(comparison, out)


def _stem(folder: Path) -> str:
    # Resolved first: `.` has no name of its own.
    return folder.resolve().name.removesuffix(".prm") or "runs"


def _paths(given: list[str]) -> dict[str, Path]:
    """Parse `RUN=PATH`, given once or more."""
    from grpo_prm.errors import UsageError

    found: dict[str, Path] = {}
    for pair in given:
        run, equals, path = pair.partition("=")
        if not (run and equals and path):
            raise UsageError(f"--metrics {pair}: not a pair. Write it like grpo=output_dir/trainer_state.json.")
        if run in found:
            raise UsageError(f"--metrics {run}=...: it is given twice. Give it once.")
        found[run] = Path(path)
    return found
