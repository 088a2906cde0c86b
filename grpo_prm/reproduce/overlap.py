"""Trees of real groups are not trivial, and overlap grows in training: on the trainer's own runs, and on any log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from ..analysis.statistics import CLUSTER
from ..core.interval import FEW_CLUSTERS, cluster_sums, resampled_sums, wilson
from ..logs.sources import find_sources
from . import training
from .claims import NOT_REPRODUCED, NOT_TESTABLE, PARTLY, REPRODUCED, Claim, Evidence, Finding, Verdict, Word, pick
from .jobs import Do, Job
from .paired import bands, difference, mean_finding
from .training import ONE_START, Size, start_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (*CLUSTER, "step", "k", "tokens", "path_depth", "non_trivial", "scale_1", "norm_0", "norm_1", "dot_1")
OVERLAP = "intermediate_proportion"
GROWTH, BEYOND = "last - first third", "intermediate - cross-prompt"
LOG = "a log"  # the setting of what is no task of ours
ENOUGH = 0.9  # share of non-trivial trees


class Plan(NamedTuple):
    """Runs of the trainer with p = 0, and logs.

    Attributes:
        runs: How the tasks are trained; its methods are not read.
        seeds: Runs of each task.
        logs: Files and folders for `analyze`.
    """

    runs: training.Plan
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

    found = analyze(log)
    mine = found.groups.select(*COLUMNS, OVERLAP)
    cross = found.baseline.select("step", "path_depth", "non_trivial", OVERLAP)
    return pl.concat([mine, cross], how="diagonal_relaxed")


def run(plan: Plan, seed: int, do: Do) -> Evidence:
    """Train, analyse, and compare thirds of training and pseudo-groups."""
    starts = start_jobs(plan.runs._replace(seeds=plan.seeds, choosing=0), seed)
    do(list(starts.values()))
    runs = list(product(plan.runs.sizes, range(plan.seeds)))
    records = do([_job(task, n, plan, seed) for task, n in runs])
    logs = do([Job(f"overlap/log-{_stamp(log)}", log_record, {"log": log}, 5) for log in plan.logs])
    findings, curves = [], []
    for task in plan.runs.sizes:
        mine = [record for (of, _), record in zip(runs, records, strict=True) if of == task]
        findings += of_runs(task, mine)
        curves.append(_curves(mine).with_columns(panel=pl.lit(task)))
    for log, record in zip(plan.logs, logs, strict=True):
        findings += of_log(log, record, seed)
        curves.append(_curves([record]).with_columns(panel=pl.lit(log)))
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
    seen = [(str(f.path), f.path.stat().st_size, f.path.stat().st_mtime_ns) for f in find_sources([log])]
    return hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]


def _job(task: str, n: int, plan: Plan, seed: int) -> Job:
    size = plan.runs.sizes[task]
    settings = training.run_settings(task, n, size.rate, plan.runs, seed)
    return Job(
        f"overlap/{task}-seed{n}", trained_record, {"settings": settings}, size.seconds * size.steps + 1, works_in=True
    )


def of_runs(task: str, records: Sequence[pl.DataFrame]) -> list[Finding]:
    """What runs of a task show, intervals over the runs, but Wilson's for the non-trivial trees."""
    means = {name: [_mean(part(record)) for record in records] for name, part in PARTS.items()}
    grown, cross = zip(means["last third"], means["first third"], strict=True), means["cross-prompt"]
    return [
        _non_trivial(task, pl.concat(records)),
        *(mean_finding(task, "", name, values) for name, values in means.items()),
        difference(task, "", BEYOND, means["intermediate"], cross),
        difference(task, "", GROWTH, *zip(*grown, strict=True)),
        *(
            difference(task, "", f"last - first third, {what}", *values, judged=False)
            for what, values in _other_growth(records).items()
        ),
        *(mean_finding(task, "", name, [update(own(r)) for r in records]) for name, update in UPDATES.items()),
    ]


def _other_growth(records: Sequence[pl.DataFrame]) -> dict[str, tuple[list[float], list[float]]]:
    """Last and first third of every run: of cross-prompt groups, and of path depth."""
    cross = [record.filter(pl.col("k").is_null()).with_columns(k=pl.lit(0)) for record in records]
    depth = [own(record).with_columns(pl.col("path_depth").alias(OVERLAP)) for record in records]
    return {
        what: ([_mean(_third(r, last=True)) for r in some], [_mean(_third(r, last=False)) for r in some])
        for what, some in (("cross-prompt", cross), ("path depth", depth))
    }


def of_log(name: str, record: pl.DataFrame, seed: int) -> list[Finding]:
    """The same of one log, with percentile intervals over its prompts."""
    sums = {part: _clusters(take(record)) for part, take in PARTS.items()}
    found = [
        _non_trivial(name, record),
        *(Finding(name, "", part, _known(_mean(take(record)))) for part, take in PARTS.items()),
        _apart(name, BEYOND, sums["intermediate"], sums["cross-prompt"], seed),
        _apart(name, GROWTH, sums["last third"], sums["first third"], seed),
        *(Finding(name, "", what, _known(update(own(record)))) for what, update in UPDATES.items()),
    ]
    return [finding._replace(setting=LOG) for finding in found]


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def own(record: pl.DataFrame) -> pl.DataFrame:
    """The groups, without the pseudo-groups."""
    return record.filter(pl.col("k").is_not_null())


def _third(record: pl.DataFrame, last: bool) -> pl.DataFrame:
    """Groups of the first or last third of the steps; none of a log with fewer than three steps."""
    steps = own(record)["step"].drop_nulls().unique().sort()
    third = len(steps) // 3
    return own(record).filter(pl.col("step").is_in((steps.tail(third) if last else steps.head(third)).implode()))


PARTS = {
    "intermediate": own,
    "cross-prompt": lambda record: record.filter(pl.col("k").is_null()),
    "first third": lambda record: _third(record, last=False),
    "last third": lambda record: _third(record, last=True),
}
UPDATES = {
    "update scale": lambda groups: _sum(groups, "scale_1") / max(_sum(groups, "tokens"), 1),
    "update cosine": lambda groups: (
        _sum(groups, "dot_1") / np.sqrt(max(_sum(groups, "norm_0") * _sum(groups, "norm_1"), 1e-300))
    ),
}


def _sum(groups: pl.DataFrame, column: str) -> float:
    return float(groups[column].to_numpy().sum())


def _mean(groups: pl.DataFrame) -> float:
    """Mean intermediate proportion over groups; NaN without any."""
    values = groups[OVERLAP].drop_nulls().to_numpy()
    return float(values.mean()) if len(values) else float("nan")


def _non_trivial(part: str, record: pl.DataFrame) -> Finding:
    """Share of the groups of three or more whose tree is not flat."""
    some = own(record).filter(pl.col("k") >= 3)["non_trivial"].to_numpy()
    if not len(some):
        return Finding(part, "", "non-trivial", None)
    low, high = wilson(some.sum(), len(some))
    return Finding(part, "", "non-trivial", float(some.mean()), float(low), float(high), len(some))


def _clusters(groups: pl.DataFrame) -> np.ndarray:
    """Sum and number of the groups of every cluster, shape (clusters, 2).

    A cluster is a prompt of a run. A pseudo-group has no prompt of its own, so each is a cluster.
    """
    known = groups.filter(pl.col(OVERLAP).is_not_null())
    values = np.stack([known[OVERLAP].to_numpy(), np.ones(len(known))], axis=1)
    if known["k"].is_null().any():
        return values
    return cluster_sums(values, known.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy())


def _apart(part: str, what: str, one: np.ndarray, other: np.ndarray, seed: int) -> Finding:
    """Difference of two means with the percentiles of both resampled on their own."""
    if not len(one) or not len(other):
        return Finding(part, "", what, None)
    means = [sums[:, 0].sum() / sums[:, 1].sum() for sums in (one, other)]
    if min(len(one), len(other)) < FEW_CLUSTERS:
        return Finding(part, "", what, float(means[0] - means[1]), n=min(len(one), len(other)), note="few prompts")
    drawn = [resampled_sums(sums, seed + n) for n, sums in enumerate((one, other))]
    low, high = np.percentile(drawn[0][:, 0] / drawn[0][:, 1] - drawn[1][:, 0] / drawn[1][:, 1], [2.5, 97.5])
    return Finding(part, "", what, float(means[0] - means[1]), float(low), float(high), min(len(one), len(other)))


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    parts = list(dict.fromkeys(f.part for f in findings))
    words = {part: _word(findings, part) for part in parts}
    ours = {words[f.part] for f in findings if f.setting != LOG}
    if NOT_TESTABLE in ours or not ours:
        word = NOT_TESTABLE
    elif NOT_REPRODUCED in ours or ours == {PARTLY}:
        word = NOT_REPRODUCED
    else:
        word = REPRODUCED if ours == {REPRODUCED} else PARTLY
    return Verdict(word, "; ".join(_said(findings, part) for part in parts), words)


def _word(findings: Sequence[Finding], part: str) -> Word:
    """Of a task or a log: partly where the trees are there and more than boilerplate, and overlap does not grow."""
    shape, beyond, growth = (pick(findings, what, part=part)[0] for what in ("non-trivial", BEYOND, GROWTH))
    if any(finding.low is None for finding in (shape, beyond, growth)):
        return NOT_TESTABLE
    if not ((shape.low or 0) > ENOUGH and beyond.above):
        return NOT_REPRODUCED
    return REPRODUCED if growth.above else PARTLY


def _said(findings: Sequence[Finding], part: str) -> str:
    growth = pick(findings, GROWTH, part=part)[0]
    if growth.mean is None:
        return f"{part}: no course to see"
    share = pick(findings, "intermediate", part=part)[0].mean or 0.0
    way = "grows" if growth.above else "falls" if growth.below else "no change seen"
    ends = "" if growth.low is None else f" [{100 * growth.low:+.1f}, {100 * (growth.high or 0):+.1f}]"
    trees = pick(findings, "non-trivial", part=part)[0].mean or 0.0
    said = f"{part}: {100 * trees:.1f} % of the trees non-trivial, {100 * share:.1f} % of the tokens intermediate"
    return f"{said}, in training {way}: {100 * growth.mean:+.1f}{ends} points"


def _curves(records: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Mean intermediate proportion of every step, of groups and pseudo-groups, with Student's intervals.

    They are over runs where there are several, else over the groups of the step.
    """
    kind = pl.when(pl.col("k").is_null()).then(pl.lit("cross-prompt")).otherwise(pl.lit("groups"))
    named = [record.with_columns(method=kind).filter(pl.col(OVERLAP).is_not_null()) for record in records]
    rows = []
    for method in ("groups", "cross-prompt"):
        of = [record.filter(method=method) for record in named]
        for step in sorted({step for record in of for step in record["step"].drop_nulls().to_list()}):
            values = [record.filter(step=step)[OVERLAP].to_numpy() for record in of]
            units = values[0] if len(of) == 1 else np.array([some.mean() for some in values if len(some)])
            rows.append((method, step, *(float(end[0]) for end in bands(units[:, None]))))
    return pl.DataFrame(rows, schema=["method", "step", "mean", "low", "high"], orient="row")


def draw(table: pl.DataFrame) -> Figure:
    """Overlap over steps, and that of pseudo-groups."""
    from .drawing import curves

    return curves(table, "intermediate tokens", percent=True)


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    starts = 1 if plan.runs.one_start else plan.seeds
    sizes = plan.runs.sizes.values()
    return sum(starts * s.warm_seconds + plan.seeds * (s.steps * s.seconds + 1) for s in sizes) + 5 * len(plan.logs)


QUICK = training.Plan(
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
    figures={"overlap_growth": draw},
    captions={
        "overlap_growth": "Share of a completion's tokens in intermediate process sets, mean over groups; bands over "
        "the seeds (of a log: over the groups of a step). Grey: groups put together from different prompts.",
    },
)
