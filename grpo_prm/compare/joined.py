"""Training metrics beside the analysis: where each run's are found, and whether they are of the same steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from ..errors import GrpoPrmError, UsageError
from ..logs.sources import INNER
from ..metrics.read import read_metrics, sources_in
from ..metrics.series import SCHEMA, Metrics
from ..text.amounts import amount, listed
from .runs import Run

REWARD = "reward"  # of the metrics: what the log's own mean reward is held against
CLOSE = 1e-4  # of a reward, up to which it is the same: trackers keep float32
MOST = 0.9  # of the steps with both that must agree


@dataclass(frozen=True, slots=True)
class Joined:
    """The metrics of the runs.

    Attributes:
        table: `run` and `metrics.series.SCHEMA`, of the runs that have metrics, in their order.
        files: Where the metrics of each run were read; empty for a run without.
        notes: A sentence or more for each run that has metrics: where they come from, which steps, what was left out.
    """

    table: pl.DataFrame
    files: Mapping[str, tuple[Path, ...]]
    notes: tuple[str, ...]


def join_metrics(runs: Sequence[Run], given: Mapping[str, Path]) -> Joined:
    """Read the metrics of every run: those given, else what lies beside its rollouts.

    Args:
        runs: The runs.
        given: Paths of `metrics.read.read_metrics`, by the name of the run.

    Raises:
        UsageError: No run has a name of `given`, or as of `read_metrics`.
        InputError: As of `read_metrics`.
    """
    if unknown := [name for name in given if name not in {run.name for run in runs}]:
        raise UsageError(
            f"--metrics {unknown[0]}=...: no run has that name. They are {', '.join(r.name for r in runs)}."
        )
    tables, files, notes = [], {}, []
    for run in runs:
        found, said = _found(run, given.get(run.name))
        notes += [f"{run.name}: {sentence}" for sentence in said]
        files[run.name] = found.files if found else ()
        if found:
            tables.append(found.table.select(pl.lit(run.name).alias("run"), pl.all()))
    table = pl.concat(tables) if tables else pl.DataFrame(schema={"run": pl.String()} | SCHEMA)
    return Joined(table, files, tuple(notes))


def _found(run: Run, given: Path | None) -> tuple[Metrics | None, list[str]]:
    """The metrics of a run, and sentences about them."""
    if given is not None:
        metrics = read_metrics(given)
        return metrics, _told(run, metrics)
    folder, why = folder_of(run)
    if folder is None or not list(sources_in(folder)):
        return None, [why] if why else []
    try:
        metrics = read_metrics(folder)
    except GrpoPrmError as error:  # nobody asked for it, so the comparison goes on without
        return None, [f"metrics lie beside its log, but {error}"]
    return metrics, _told(run, metrics)


def folder_of(run: Run) -> tuple[Path | None, str]:
    """The folder in which a run's rollouts lie in a subfolder, if that is certain; else why it is not, if there is one.

    The names of the files are as `analyze` was given them: beside the analysis, or where we are.
    """
    # Metrics of another run would be a wrong answer: two places that fit are none.
    found = {
        folder.resolve()
        for base in (Path.cwd(), run.folder.resolve().parent)
        for folder in {(base / name).parent.parent for name in _inner(run.source["files"])}
        if folder.is_dir() and _is_of(folder, run)
    }
    if len(found) > 1:
        return None, f"its log may lie in {listed(sorted(map(str, found)))}, so metrics were not looked for. Name them."
    return (found.pop() if found else None), ""


def _inner(files: Sequence[str]) -> list[str]:
    """One file of each subfolder of rollouts; nothing where a file lies elsewhere, or on another machine."""
    one_each = {Path(name).parent: name for name in files}
    certain = all(folder.name in INNER and "://" not in name for folder, name in one_each.items())
    return list(one_each.values()) if certain else []


def _is_of(folder: Path, run: Run) -> bool:
    """Whether a folder is that of the run: the only one of its analysis, or called like it."""
    if len(run.source["runs"]) == 1:
        return True
    return f"/{folder.resolve().as_posix().strip('/')}".endswith((f"/{run.logged}", f"/{run.logged}.run"))


def _told(run: Run, metrics: Metrics) -> list[str]:
    """What was taken, and how well its steps are those of the log."""
    steps, of_log = set(metrics.table["step"]), run.steps
    path, more = metrics.files[0].resolve(), len(metrics.files) - 1
    where = str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    where += f" and {more} more" if more else ""
    where += f" ({metrics.source})" if path.name != metrics.source else ""
    shared = len(steps & {*of_log})
    joined = f"{shared} of {amount(len(of_log), 'step')} of the log have a value" if of_log else "the log has no steps"
    return [f"metrics from {where}: {joined}{_agreement(run, metrics)}.", *metrics.notes]


def _agreement(run: Run, metrics: Metrics) -> str:
    """Whether the metric `reward` is the mean reward of the rollouts of its step; of the step before or after, else."""
    logged = dict(metrics.table.filter(metric=REWARD).select("step", "value").iter_rows())
    if not logged or run.others or run.groups["reward_mean"].null_count():
        return ""  # groups were left out, so the means may differ
    means = dict(run.groups.group_by("step").agg(pl.col("reward_mean").mean()).drop_nulls().iter_rows())
    # A trainer may log a step before it counts it, or after: then all values agree one step off.
    at = {shift: _agreeing(means, logged, shift) for shift in (0, 1, -1)}
    count, of = at[0]
    if not of:
        return ""
    if count >= MOST * of:
        return f", and its reward is the log's at {count} of {of}"
    for shift, which in ((1, "one higher"), (-1, "one lower")):
        if at[shift][0] >= MOST * at[shift][1] > 0:
            return f", but its reward is the log's where steps are {which}: steps are counted otherwise"
    return (
        f", and its reward differs from the log's at {of - count} of {of} (means over several steps, other weights of "
        "parts, or other rollouts)"
    )


def _agreeing(means: Mapping[int, float], logged: Mapping[int, float], shift: int) -> tuple[int, int]:
    """At how many steps the two agree, and how many have both."""
    both = [(mean, logged[step + shift]) for step, mean in means.items() if step + shift in logged]
    return sum(bool(np.isclose(one, other, rtol=CLOSE, atol=CLOSE)) for one, other in both), len(both)
