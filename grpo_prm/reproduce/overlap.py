"""Trees of real groups are not trivial, and overlap grows in training: on the trainer's own runs, and on any log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from ..logs.sources import find_sources
from . import training_plan
from .claims import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTLY,
    REPRODUCED,
    TRAINER,
    Claim,
    Evidence,
    Finding,
    Verdict,
    Word,
    pick,
)
from .jobs import Job, RunJobs
from .overlap_measures import BEYOND, COLUMNS, GROWTH, LOG, OVERLAP, of_log, of_runs, step_curves
from .training_plan import ONE_START, Size, run_settings, start_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENOUGH = 0.9  # share of non-trivial trees


class Plan(NamedTuple):
    """Runs of the trainer with p = 0, and logs.

    Attributes:
        runs: How the tasks are trained; its methods are not read.
        seeds: Runs of each task.
        logs: Files and folders for `analyze`.
    """

    runs: training_plan.Plan
    seeds: int
    logs: tuple[str, ...] = ()


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

    analysis = analyze(log)
    groups = analysis.groups.select(*COLUMNS, OVERLAP)
    cross = analysis.baseline.select("step", "path_depth", "non_trivial", OVERLAP)
    return pl.concat([groups, cross], how="diagonal_relaxed")


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Train, analyse, and compare thirds of training and pseudo-groups."""
    # The warm starts of the claim about training, under the same names: what one claim has made the other finds.
    starts = start_jobs(plan.runs._replace(seeds=plan.seeds, choosing=0), seed)
    run_jobs(list(starts.values()))
    runs = list(product(plan.runs.sizes, range(plan.seeds)))
    records = run_jobs([_job(task, n, plan, seed) for task, n in runs])
    logs = run_jobs([Job(f"overlap/log-{_stamp(log)}", log_record, {"log": log}, 5) for log in plan.logs])
    findings, curves = [], []
    for task in plan.runs.sizes:
        own = [record for (name, _), record in zip(runs, records, strict=True) if name == task]
        findings += of_runs(task, own)
        curves.append(step_curves(own).with_columns(panel=pl.lit(task)))
    for log, record in zip(plan.logs, logs, strict=True):
        findings += of_log(log, record, seed)
        curves.append(step_curves([record]).with_columns(panel=pl.lit(log)))
    sizes = "; ".join(
        f"{task} {s.steps} steps of {s.prompts} prompts at a rate of {s.rate:g}" for task, s in plan.runs.sizes.items()
    )
    notes = [
        f"GRPO (p = 0), k = {plan.runs.group_size}, {plan.seeds} seeds a task: {sizes}. Intervals of the trainer's "
        "runs are Student's over seeds, those of a log over its prompts.",
        "Cross-prompt: the same for groups put together from different prompts, so what lies above is not boilerplate. "
        "Update scale and cosine: what p = 1 would change (1 and 1: nothing). Wilson's interval of the non-trivial "
        "trees takes groups as independent.",
    ]
    if plan.runs.one_start:
        notes.append(ONE_START)
    return Evidence(findings, {"overlap_growth": pl.concat(curves)}, notes)


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


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    parts = list(dict.fromkeys(f.part for f in findings))
    words = {part: _word(findings, part) for part in parts}
    ours = {words[f.part] for f in findings if f.setting != LOG}  # the words of our tasks, not those of logs
    if NOT_TESTABLE in ours or not ours:
        word = NOT_TESTABLE
    elif NOT_REPRODUCED in ours or ours == {PARTLY}:
        word = NOT_REPRODUCED  # growth is part of the claim: trees that grow on no task do not reproduce it
    else:
        word = REPRODUCED if ours == {REPRODUCED} else PARTLY
    return Verdict(word, "; ".join(_sentence(findings, part) for part in parts), words)


def _word(findings: Sequence[Finding], part: str) -> Word:
    """Of a task or a log: partly where the trees are there and more than boilerplate, and overlap does not grow."""
    shape, beyond, growth = (pick(findings, what, part=part)[0] for what in ("non-trivial", BEYOND, GROWTH))
    # No interval: one seed, a log of one step, or few prompts.
    if any(finding.low is None for finding in (shape, beyond, growth)):
        return NOT_TESTABLE
    if not ((shape.low or 0) > ENOUGH and beyond.above):
        return NOT_REPRODUCED
    return REPRODUCED if growth.above else PARTLY


def _sentence(findings: Sequence[Finding], part: str) -> str:
    growth = pick(findings, GROWTH, part=part)[0]
    if growth.mean is None:
        return f"{part}: no course to see"
    share = pick(findings, "intermediate", part=part)[0].mean or 0.0
    way = "grows" if growth.above else "falls" if growth.below else "no change seen"
    ends = "" if growth.low is None else f" [{100 * growth.low:+.1f}, {100 * (growth.high or 0):+.1f}]"
    trees = pick(findings, "non-trivial", part=part)[0].mean or 0.0
    state = f"{part}: {100 * trees:.1f} % of the trees non-trivial, {100 * share:.1f} % of the tokens intermediate"
    return f"{state}, in training {way}: {100 * growth.mean:+.1f}{ends} points"


def draw(table: pl.DataFrame) -> Figure:
    """Overlap over steps, and that of pseudo-groups."""
    from .drawing import curves

    return curves(table, "intermediate tokens", percent=True)


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    starts = 1 if plan.runs.one_start else plan.seeds
    sizes = plan.runs.sizes.values()
    return sum(starts * s.warm_seconds + plan.seeds * (s.steps * s.seconds + 1) for s in sizes) + 5 * len(plan.logs)


QUICK = training_plan.Plan(
    {"countdown": Size(80, 16, 3e-4, 0.05, 20), "chain": Size(40, 16, 2e-4, 0.16, 33)}, (), 3, 0, 0, 350, True
)
STANDARD = QUICK._replace(
    sizes={"countdown": Size(150, 16, 3e-4, 0.05, 40), "chain": Size(100, 16, 3e-4, 0.16, 65)},
    warm_steps=0,
    one_start=False,
)
FULL = STANDARD._replace(
    sizes={"countdown": Size(400, 32, 3e-4, 0.1, 40), "chain": Size(150, 32, 3e-4, 0.3, 65)}, group_size=16
)
CLAIM = Claim(
    name="overlap",
    says="Groups of completions form trees that are not trivial, and their overlap grows in training.",
    paper="DeepSeek-R1-Distill-Qwen-1.5B on OpenRS: 99.8 % of the trees are non-trivial at k = 6, all at k = 36; path "
    "depth and intermediate proportion grow over training.",
    rule=f"reproduced if on every task the Wilson low of the non-trivial share (k >= 3) is above {ENOUGH}, the "
    "intermediate proportion minus that of cross-prompt groups has its low end above 0, and so has its last third of "
    "training minus the first; partly if the first two hold and overlap grows on some; else not reproduced. A log of "
    "yours has a word of its own and does not change that of the claim. A task or log: partly where only growth "
    "fails, not testable here where an interval is missing.",
    plans={"quick": Plan(QUICK, 5), "standard": Plan(STANDARD, 5), "full": Plan(FULL, 10)},
    cost=cost,
    run=run,
    decide=decide,
    needs=lambda _: TRAINER,
    figures={"overlap_growth": draw},
    captions={
        "overlap_growth": "Share of a completion's tokens in intermediate process sets, mean over groups; bands over "
        "the seeds (of a log: over the groups of a step). Grey: groups put together from different prompts.",
    },
)
