"""Trees of real groups are not trivial, and overlap grows in training: on the trainer's own runs, and on any log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from ..interval import FEW_CLUSTERS, cluster_sums, resampled_sums, wilson
from . import training
from .claims import NOT_REPRODUCED, NOT_TESTABLE, PARTLY, REPRODUCED, Claim, Evidence, Finding, Verdict, Word, pick
from .jobs import Do, Job
from .paired import difference, mean_finding
from .training import ONE_START, Size, start_jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ("step", "k", "prompt_key", "tokens", "non_trivial", "scale_1", "norm_0", "norm_1", "dot_1")
OVERLAP = "intermediate_proportion"
GROWTH, BEYOND = "last - first third", "intermediate - cross-prompt"
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


def run_record(settings: Mapping[str, Any], folder: Path) -> pl.DataFrame:
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
    from ..analysis import analyze

    found = analyze(log)
    mine = found.groups.select(*COLUMNS, OVERLAP)
    cross = found.baseline.select("step", "non_trivial", OVERLAP)
    return pl.concat([mine, cross], how="diagonal_relaxed")


def run(plan: Plan, seed: int, do: Do) -> Evidence:
    """Train, analyse, and compare thirds of training and pseudo-groups."""
    starts = start_jobs(plan.runs._replace(seeds=plan.seeds, choosing=0), seed)
    do(list(starts.values()))
    runs = list(product(plan.runs.sizes, range(plan.seeds)))
    records = do([_job(task, n, plan, seed) for task, n in runs])
    logs = do([Job(f"overlap/log-{n}", log_record, {"log": log}, 5) for n, log in enumerate(plan.logs)])
    findings, curves = [], []
    for task in plan.runs.sizes:
        mine = [record for (of, _), record in zip(runs, records, strict=True) if of == task]
        findings += of_runs(task, mine)
        curves.append(_curves(pl.concat(mine)).with_columns(panel=pl.lit(task)))
    for log, record in zip(plan.logs, logs, strict=True):
        findings += of_log(Path(log).name, record, seed)
        curves.append(_curves(record).with_columns(panel=pl.lit(Path(log).name)))
    sizes = "; ".join(f"{task} {s.steps} steps of {s.prompts} prompts" for task, s in plan.runs.sizes.items())
    notes = [
        f"GRPO (p = 0), k = {plan.runs.group_size}, {plan.seeds} seeds a task: {sizes}. Intervals of the trainer's "
        "runs are Student's over seeds, those of a log over its prompts.",
        "Cross-prompt: the same for groups put together from different prompts, so what lies above is not boilerplate. "
        "Update scale and cosine: what p = 1 would change (1 and 1: nothing).",
    ]
    if plan.runs.one_start:
        notes.append(ONE_START)
    return Evidence(findings, {"overlap_growth": pl.concat(curves)}, notes)


def _job(task: str, n: int, plan: Plan, seed: int) -> Job:
    size = plan.runs.sizes[task]
    settings = training.run_settings(task, n, size.rate, plan.runs, seed)
    return Job(
        f"overlap/{task}-seed{n}", run_record, {"settings": settings}, size.seconds * size.steps + 1, works_in=True
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
        *(mean_finding(task, "", name, [update(own(r)) for r in records]) for name, update in UPDATES.items()),
    ]


def of_log(name: str, record: pl.DataFrame, seed: int) -> list[Finding]:
    """The same of one log, with percentile intervals over its prompts."""
    sums = {part: _clusters(take(record)) for part, take in PARTS.items()}
    return [
        _non_trivial(name, record),
        *(Finding(name, "", part, _mean(take(record))) for part, take in PARTS.items()),
        _apart(name, BEYOND, sums["intermediate"], sums["cross-prompt"], seed),
        _apart(name, GROWTH, sums["last third"], sums["first third"], seed),
        *(Finding(name, "", what, update(own(record))) for what, update in UPDATES.items()),
    ]


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
    "update scale": lambda groups: groups["scale_1"].sum() / max(groups["tokens"].sum(), 1),
    "update cosine": lambda groups: (
        groups["dot_1"].sum() / np.sqrt(max(groups["norm_0"].sum() * groups["norm_1"].sum(), 1e-300))
    ),
}


def _mean(groups: pl.DataFrame) -> float:
    """Mean intermediate proportion over groups; NaN without any."""
    mean = groups[OVERLAP].mean()
    return float(mean) if isinstance(mean, float) else float("nan")


def _non_trivial(part: str, record: pl.DataFrame) -> Finding:
    """Share of the groups of three or more whose tree is not flat."""
    some = own(record).filter(pl.col("k") >= 3)["non_trivial"].to_numpy()
    if not len(some):
        return Finding(part, "", "non-trivial", None)
    low, high = wilson(some.sum(), len(some))
    return Finding(part, "", "non-trivial", float(some.mean()), float(low), float(high), len(some))


def _clusters(groups: pl.DataFrame) -> np.ndarray:
    """Sum and number of the groups of every prompt, shape (prompts, 2); pseudo-groups stand alone."""
    known = groups.filter(pl.col(OVERLAP).is_not_null())
    if known.is_empty():
        return np.zeros((0, 2))
    key = known["prompt_key"].rank("dense").fill_null(0).to_numpy().astype(np.int64)
    alone = known["k"].is_null().any()
    values = np.stack([known[OVERLAP].to_numpy(), np.ones(len(known))], axis=1)
    return cluster_sums(values, np.arange(len(known)) if alone else key)


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
    parts = {part: _holds(findings, part) for part in dict.fromkeys(f.part for f in findings)}
    there, grown = all(h[0] for h in parts.values()), [h[1] for h in parts.values()]
    word = REPRODUCED if there and all(grown) else PARTLY if there and any(grown) else NOT_REPRODUCED
    said = "; ".join(_said(findings, part) for part in parts)
    return Verdict(word, said, {part: _word(*holds) for part, holds in parts.items()})


def _holds(findings: Sequence[Finding], part: str) -> tuple[bool, bool | None]:
    """Trees are non-trivial and overlap is more than boilerplate; overlap grows (None: that cannot be seen)."""
    shape, beyond, growth = (pick(findings, what, part=part)[0] for what in ("non-trivial", BEYOND, GROWTH))
    there = shape.low is not None and shape.low > ENOUGH and beyond.above
    return there, None if growth.low is None else growth.above


def _word(there: bool, grown: bool | None) -> Word:
    if not there:
        return NOT_REPRODUCED
    return NOT_TESTABLE if grown is None else REPRODUCED if grown else PARTLY


def _said(findings: Sequence[Finding], part: str) -> str:
    growth = pick(findings, GROWTH, part=part)[0]
    if growth.mean is None:
        return f"{part}: no course to see"
    share = pick(findings, "intermediate", part=part)[0].mean or 0.0
    way = "grows" if growth.above else "falls" if growth.below else "stays"
    return f"{part}: {100 * share:.1f} % of the tokens intermediate, which {way} ({100 * growth.mean:+.1f} points)"


def _curves(record: pl.DataFrame) -> pl.DataFrame:
    """Mean intermediate proportion of every step, of groups and pseudo-groups, with 1.96 standard errors."""
    kind = pl.when(pl.col("k").is_null()).then(pl.lit("cross-prompt")).otherwise(pl.lit("groups"))
    value = pl.col(OVERLAP)
    half = 1.96 * value.std().fill_null(0.0) / value.count().sqrt()
    made = record.filter(value.is_not_null()).group_by(kind.alias("method"), "step")
    table = made.agg(mean=value.mean(), low=value.mean() - half, high=value.mean() + half)
    return table.sort("method", "step", descending=[True, False])


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
    "training minus the first; partly if the first two hold and overlap grows on some; else not reproduced.",
    plans={"quick": Plan(QUICK, 5), "standard": Plan(STANDARD, 5), "full": Plan(FULL, 10)},
    cost=cost,
    run=run,
    decide=decide,
    figures={"overlap_growth": draw},
)
