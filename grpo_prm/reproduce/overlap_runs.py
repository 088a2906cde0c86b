"""The runs that both claims about overlap read: the trainer's own on two tasks, with GRPO, and logs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from ..analysis.tables import Tables
from ..logs.layouts.find import find_sources
from . import overlap_pretrained, training_plan
from .claims import NOT_TESTABLE, PARTLY, Finding, Verdict, Word
from .jobs import Job, RunJobs
from .overlap_measures import COLUMNS, LOG, OVERLAP
from .overlap_pretrained import LEFT_OUT
from .training_plan import ONE_START, Size, run_settings, start_jobs


class Plan(NamedTuple):
    """Runs of the trainer with p = 0, and logs.

    Attributes:
        runs: How the tasks are trained; its methods are not read.
        seeds: Runs of each task.
        logs: Files and folders for `analyze`.
        pretrained: What is sampled from a pretrained model, for the claim about trees alone; None: nothing.
    """

    runs: training_plan.Plan
    seeds: int
    logs: tuple[str, ...] = ()
    pretrained: overlap_pretrained.Plan | None = None


class Records(NamedTuple):
    """What was run: of every task a record a seed, and the record of every log.

    A record holds the groups with `COLUMNS`, and cross-prompt pseudo-groups, whose `k` is null.
    """

    tasks: dict[str, list[pl.DataFrame]]
    logs: dict[str, pl.DataFrame]

    @property
    def all(self) -> dict[str, list[pl.DataFrame]]:
        """Every part with its records, tasks first."""
        return self.tasks | {name: [record] for name, record in self.logs.items()}


def trained_record(settings: Mapping[str, Any], folder: Path) -> pl.DataFrame:
    """Train with p = 0 and analyse the rollouts: `log_record` of them."""
    from ..train.config import make_config
    from ..train.loop import train
    from ..train.quiet import quiet_libraries

    quiet_libraries()
    given = {**settings, "power": 0.0, "out": str(folder), "eval_every": 0, "eval_prompts": 1}
    train(make_config(given), resume=(folder / "checkpoints").exists())
    return log_record(str(folder))


def log_record(log: str) -> pl.DataFrame:
    """Groups of a log, and its cross-prompt pseudo-groups (`k` null): their overlap, and what p = 1 would change."""
    from ..analysis.analyze import analyze

    return record_of(analyze(log))


def record_of(analysis: Tables) -> pl.DataFrame:
    """The groups of an analysis with `COLUMNS`, and its cross-prompt pseudo-groups, whose `k` is null."""
    groups = analysis.groups.select(*COLUMNS, OVERLAP)
    cross = analysis.baseline.select("step", "path_depth", "non_trivial", OVERLAP)
    return pl.concat([groups, cross], how="diagonal_relaxed")


def make_records(plan: Plan, seed: int, run_jobs: RunJobs) -> Records:
    """Train and analyse. Both claims name their jobs alike, so what one has run the other finds."""
    # The warm starts of the claim about training, under the same names: they are shared too.
    starts = start_jobs(plan.runs._replace(seeds=plan.seeds, choosing=0), seed)
    run_jobs(list(starts.values()))
    runs = list(product(plan.runs.sizes, range(plan.seeds)))
    trained = run_jobs([_job(task, n, plan, seed) for task, n in runs])
    logs = run_jobs([Job(f"overlap/log-{_stamp(log)}", log_record, {"log": log}, 5) for log in plan.logs])
    tasks: dict[str, list[pl.DataFrame]] = {task: [] for task in plan.runs.sizes}
    for (task, _), record in zip(runs, trained, strict=True):
        tasks[task].append(record)
    return Records(tasks, dict(zip(plan.logs, logs, strict=True)))


def run_notes(plan: Plan) -> list[str]:
    """How the runs were made, for the page."""
    sizes = "; ".join(
        f"{task} {s.steps} steps of {s.prompts} prompts at a rate of {s.rate:g}" for task, s in plan.runs.sizes.items()
    )
    notes = [
        f"GRPO (p = 0), k = {plan.runs.group_size}, {plan.seeds} seeds a task: {sizes}. Intervals of the trainer's "
        "runs are Student's over seeds, those of a log over its prompts."
    ]
    return [*notes, ONE_START] if plan.runs.one_start else notes


def judge(findings: Sequence[Finding], word_of: Callable[[str], Word], sentence_of: Callable[[str], str]) -> Verdict:
    """Words of all parts; that of the claim is from what we ran, and a log of a user's does not change it.

    Reproduced or not reproduced where all parts agree, not testable here where one is, else partly.
    """
    absent = [f.note for f in findings if f.setting == LEFT_OUT]
    findings = [f for f in findings if f.setting != LEFT_OUT]
    parts = list(dict.fromkeys(f.part for f in findings))
    words = {part: word_of(part) for part in parts}
    ours = {words[f.part] for f in findings if f.setting != LOG}
    known = ours and NOT_TESTABLE not in ours
    word = NOT_TESTABLE if not known else ours.pop() if len(ours) == 1 else PARTLY
    return Verdict(word, "; ".join([*map(sentence_of, parts), *absent]), words)


def _stamp(log: str) -> str:
    """What the files of a log are known by: one that has changed is read again."""
    files = [(str(f.path), f.path.stat().st_size, f.path.stat().st_mtime_ns) for f in find_sources([log])]
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:12]


def _job(task: str, n: int, plan: Plan, seed: int) -> Job:
    size = plan.runs.sizes[task]
    settings = run_settings(task, n, size.rate, plan.runs, seed)
    return Job(
        f"overlap/{task}-seed{n}", trained_record, {"settings": settings}, size.seconds * size.steps + 1, works_in=True
    )


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    starts = 1 if plan.runs.one_start else plan.seeds
    sizes = plan.runs.sizes.values()
    return sum(starts * s.warm_seconds + plan.seeds * (s.steps * s.seconds + 1) for s in sizes) + 5 * len(plan.logs)


_QUICK = training_plan.Plan(
    {"countdown": Size(80, 16, 3e-4, 0.05, 20), "chain": Size(40, 16, 2e-4, 0.16, 33)}, (), 3, 0, 0, 350, True
)
_STANDARD = _QUICK._replace(
    sizes={"countdown": Size(150, 16, 3e-4, 0.05, 40), "chain": Size(100, 16, 3e-4, 0.16, 65)},
    warm_steps=0,
    one_start=False,
)
_FULL = _STANDARD._replace(
    sizes={"countdown": Size(400, 32, 3e-4, 0.1, 40), "chain": Size(150, 32, 3e-4, 0.3, 65)}, group_size=16
)
# In full a task has as many prompts as the largest group has completions, so that every size has a baseline within it.
PLANS = {
    "quick": Plan(_QUICK, 5),
    "standard": Plan(_STANDARD, 5, pretrained=overlap_pretrained.Plan()),
    "full": Plan(_FULL, 10, pretrained=overlap_pretrained.Plan(prompts=36)),
}
