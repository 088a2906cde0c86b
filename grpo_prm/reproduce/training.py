"""λ-GRPO trains to a higher accuracy, and faster: small reasoning tasks through our own trainer, with controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from .claims import (
    NOT_REPRODUCED,
    NOT_TESTABLE,
    PARTLY,
    REPRODUCED,
    Claim,
    Evidence,
    Finding,
    Verdict,
    Word,
    of_most,
    pick,
)
from .jobs import Do, Job
from .paired import difference, mean_finding, seeds_needed
from .rates import PLATEAU, Choice, choose_rates
from .training_drawing import BESIDE, curves_table, draw_curves, draw_gains, draw_rates, gains_table, rates_table
from .training_runs import METHODS, SAMPLES, curve, start_record, training_record, value

CHOOSING = 50_000  # seeds from here on choose rates; those below are reported
WARM = 40_000  # seed of a warm start that all seeds share
CONTROLS = ("scale-matched", "norm-matched", "position")
MEASURES = ("final accuracy", "area")
SHOWN = ("greedy", f"pass@{SAMPLES}", "steps to GRPO's peak")
SMALL = 0.01  # a gain below this is none
MANY = 10  # seeds that `reproduced` needs
WINDOW = 10  # steps that a peak is the mean of
ONE_START = "One warm start for all seeds of a task: the intervals leave out how warm starts differ."


class Size(NamedTuple):
    """How a task is trained.

    Attributes:
        steps: Training steps.
        prompts: Prompts in a step, each with `group_size` completions.
        rate: The rate in the middle of the grid, or the only one.
        seconds: Of one core for a step, roughly.
        warm_seconds: Of one core for the warm start.
        task: Its name, where the part has another.
        optimizer: `adam` or `sgd`.
    """

    steps: int
    prompts: int
    rate: float
    seconds: float
    warm_seconds: float
    task: str | None = None
    optimizer: str = "adam"


class Plan(NamedTuple):
    """What is trained, and how often.

    Attributes:
        sizes: Task to its size.
        methods: Which of `METHODS`.
        seeds: Fresh ones, which are reported.
        choosing: Seeds on which every method's rate is chosen; 0: all train at the task's one rate.
        widen: Rates by which the grid of three may grow.
        warm_steps: Steps of the warm start; 0: as the task has it.
        one_start: All seeds share one warm start.
        group_size: k.
    """

    sizes: dict[str, Size]
    methods: tuple[str, ...]
    seeds: int
    choosing: int
    widen: int
    warm_steps: int
    one_start: bool
    group_size: int = 8


class Run(NamedTuple):
    """What a run is known by."""

    task: str
    method: str
    rate: float
    seed: int


def run(plan: Plan, seed: int, do: Do) -> Evidence:
    """Make the warm starts, choose rates, then compare on fresh seeds."""
    begins = start_jobs(plan, seed)
    before = dict(zip(begins, do(list(begins.values())), strict=True))
    choices = _choices(plan, seed, do)
    fresh = [
        Run(task, method, choices[task, method].rate, n)
        for task, n, method in product(plan.sizes, range(plan.seeds), plan.methods)
    ]
    records = dict(zip(fresh, do([training_job(run, plan, seed) for run in fresh]), strict=True))
    findings: list[Finding] = []
    for task in plan.sizes:
        mine = {
            method: (
                choices[task, method],
                [record for run, record in records.items() if (run.task, run.method) == (task, method)],
            )
            for method in plan.methods
        }
        start = [record["accuracy"][0] for (of, warm), record in before.items() if of == task and warm < CHOOSING]
        findings.append(mean_finding(task, "", "before training", start))
        findings += compare(task, mine)
    tables = {
        "training": gains_table(findings),
        "training_curves": curves_table({(run.task, run.method, run.seed): r for run, r in records.items()}),
        "training_rates": rates_table({key: choice.scores for key, choice in choices.items()}),
    }
    return Evidence(findings, tables, _notes(plan))


def start_jobs(plan: Plan, seed: int) -> dict[tuple[str, int], Job]:
    """A job for every warm start, by task and its seed in the plan; each is on the disk before a run wants it."""
    numbers = [WARM] if plan.one_start else [*range(plan.seeds), *([CHOOSING] if plan.choosing else [])]
    return {
        (task, n): Job(
            f"training/{_folder(task)}/warm-{n}",
            start_record,
            {"settings": _start_settings(task, n, plan, seed)},
            size.warm_seconds,
        )
        for n in numbers
        for task, size in plan.sizes.items()
    }


def training_job(run: Run, plan: Plan, seed: int) -> Job:
    """A run: the same prompts, draws and warm start for every method of a seed."""
    size = plan.sizes[run.task]
    settings = run_settings(run.task, run.seed, run.rate, plan, seed)
    name = f"training/{_folder(run.task)}/{run.method.replace(' = ', '')}-rate{run.rate:g}-seed{run.seed}"
    twice = 1.5 if run.method == "norm-matched" else 1.0  # a second backward pass
    cost = size.seconds * size.steps * twice + 1
    return Job(name, training_record, {"method": run.method, "settings": settings}, cost, works_in=True)


def _folder(task: str) -> str:
    return task.replace(" / ", "-")


def run_settings(task: str, n: int, rate: float, plan: Plan, seed: int) -> dict[str, Any]:
    """Fields of `TrainConfig` of the n-th seed."""
    size = plan.sizes[task]
    return _start_settings(task, n, plan, seed) | {
        "optimizer": size.optimizer,
        "steps": size.steps,
        "prompts": size.prompts,
        "group_size": plan.group_size,
        "learning_rate": rate,
        "save_every": 50,
    }


def _start_settings(task: str, n: int, plan: Plan, seed: int) -> dict[str, Any]:
    """Those that a warm start depends on; seeds for choosing share one warm start, or all do."""
    return {
        "task": plan.sizes[task].task or task,
        "seed": seed * 100_000 + n,
        "warm_seed": seed * 100_000 + (WARM if plan.one_start else min(n, CHOOSING)),
        "warm_steps": plan.warm_steps or None,
        "threads": 1,
    }


def _choices(plan: Plan, seed: int, do: Do) -> dict[tuple[str, str], Choice]:
    """The rate of every task and method: that with the best accuracy at the end of training."""
    keys = list(product(plan.sizes, plan.methods))
    if not plan.choosing:
        return {(task, method): Choice(plan.sizes[task].rate, None, {}) for task, method in keys}

    def score(pairs: list[tuple[tuple[str, str], float]]) -> list[float]:
        runs = [Run(task, method, rate, CHOOSING + n) for (task, method), rate in pairs for n in range(plan.choosing)]
        records = do([training_job(run, plan, seed) for run in runs])
        found = np.array([value(record, "final_accuracy") for record in records])
        return found.reshape(-1, plan.choosing).mean(axis=1).tolist()

    grids = {key: _grid(plan.sizes[key[0]].rate) for key in keys}
    return choose_rates(score, grids, plan.widen)


def _grid(rate: float) -> tuple[float, float, float]:
    """Three rates, each √10 times the one before."""
    return tuple(float(f"{rate * 10 ** (n / 2):.2g}") for n in (-1, 0, 1))  # ty: ignore[invalid-explicit-return]


def compare(task: str, runs: Mapping[str, tuple[Choice, list[pl.DataFrame]]]) -> list[Finding]:
    """Means of the methods over fresh seeds, and their paired differences.

    Args:
        task: The part.
        runs: Method to its rate, which says whether it lies at an edge, and a record a seed, the same seeds for all.
    """
    of = {method: _measures(records, runs["p = 0"][1]) for method, (_, records) in runs.items()}
    findings = [
        mean_finding(task, measure, method, of[method][measure])
        for measure in (*MEASURES, *SHOWN, *BESIDE[1:])
        for method in runs
    ]
    findings += [Finding(task, "rate", method, choice.rate, note=choice.note) for method, (choice, _) in runs.items()]
    others = [method for method in ("p = 0", *CONTROLS) if method in runs]
    for measure, other in product(MEASURES, others):
        note = runs["p = 1"][0].note or runs[other][0].note
        one, against = of["p = 1"][measure], of[other][measure]
        findings.append(difference(task, measure, f"p = 1 - {other}", one, against, note=note))
    for measure, one in product(MEASURES, [m for m in ("p = 0.5", "parent") if m in runs]):
        against = of["p = 0"][measure]
        findings.append(difference(task, measure, f"{one} - p = 0", of[one][measure], against, judged=False))
    return findings


def _measures(records: list[pl.DataFrame], plain: list[pl.DataFrame]) -> dict[str, list[float]]:
    """Everything that is compared, a value a seed."""
    accuracy, theirs = ([curve(record, "accuracy") for record in some] for some in (records, plain))
    found = {
        "final accuracy": [value(record, "final_accuracy") for record in records],
        "area": [float(line.mean()) for line in accuracy],
        "greedy": [value(record, "final_greedy") for record in records],
        f"pass@{SAMPLES}": [value(record, "final_passed") for record in records],
        "steps to GRPO's peak": [_reaches(line, their) for line, their in zip(accuracy, theirs, strict=True)],
    }
    return found | {name: [_known_mean(curve(record, name)) for record in records] for name in BESIDE[1:]}


def _known_mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN where nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _reaches(line: np.ndarray, plain: np.ndarray) -> float:
    """Steps until the smoothed accuracy is what it is at most under GRPO; the run's length where it never is."""
    window = min(WINDOW, len(line))
    own, theirs = (np.convolve(values, np.full(window, 1 / window), "valid") for values in (line, plain))
    there = np.flatnonzero(own >= theirs.max() - 1e-9)
    return float(there[0] + window if len(there) else len(line))


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    tasks = list(dict.fromkeys(f.part for f in findings))
    all_gains = [f for measure in MEASURES for f in pick(findings, "p = 1 - p = 0", setting=measure)]
    gains = {task: [f for f in all_gains if f.part == task] for task in tasks}
    parts = {task: _word(gains[task], findings) for task in tasks}
    word = of_most(parts)
    said = "; ".join(f"{task} {_said(gains[task][0])}" for task in tasks)
    why = f"final accuracy, p = 1 minus p = 0: {said}"
    unsure = [f for task in tasks if parts[task] == NOT_TESTABLE for f in gains[task] if not f.note]
    if word == NOT_TESTABLE and unsure:
        why += f" (needs about {max(seeds_needed(f, SMALL) for f in unsure):,} seeds)"
    return Verdict(word, why, parts)


def _word(gains: list[Finding], findings: Sequence[Finding]) -> Word:
    """The word of one task."""
    task = gains[0].part
    won = [f.above and not f.note for f in gains]
    controls = [f for c in CONTROLS for f in pick(findings, f"p = 1 - {c}", part=task)]
    beaten = len(controls) == len(CONTROLS) * len(MEASURES) and all(f.above and not f.note for f in controls)
    if all(won) and beaten and min(f.n for f in gains) >= MANY:
        return REPRODUCED
    if any(won):
        return PARTLY
    small = all(f.high is not None and f.high < SMALL and not f.note for f in gains)
    return NOT_REPRODUCED if small else NOT_TESTABLE


def _said(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return f"{finding.mean:+.3f}"
    note = f", {finding.note}" if finding.note else ""
    return f"{finding.mean:+.3f} [{finding.low:+.3f}, {finding.high:+.3f}]{note}"


def _notes(plan: Plan) -> list[str]:
    sizes = "; ".join(f"{task} {size.steps} steps of {size.prompts} prompts" for task, size in plan.sizes.items())
    notes = [
        f"A GPT-2 of 2 layers and 64 units, Adam where SGD is not named, k = {plan.group_size}, temperature 1: "
        f"{sizes}. Methods share prompts, draws and warm start of a seed; no gradient clipping. Under Adam a constant "
        "factor on the loss does next to nothing, so the scale- and norm-matched controls say more under SGD "
        "(--budget full).",
        f"Final accuracy: share of {SAMPLES} completions each of 128 held-out prompts. Area: mean accuracy of the "
        f"completions that are trained on. Steps to GRPO's peak: of the accuracy smoothed over {WINDOW} steps, the "
        "run's length where it is never reached.",
    ]
    if plan.one_start:
        notes.append(ONE_START)
    if plan.choosing:
        notes.append(
            f"Rates chosen for each method and task on {plan.choosing} other seeds, from 3, a grid that widens by up "
            f"to {plan.widen} at its edges (rates whose scores differ by less than {PLATEAU} are as good, and the "
            "middle one is taken); a comparison whose rate is left at an edge counts for nothing."
        )
    else:
        notes.append("All methods train at one rate, so nothing can be decided: --budget standard searches a grid.")
    return notes


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    starts = 1 if plan.one_start else plan.seeds + (plan.choosing > 0)
    each = len(plan.methods) * (3.5 * plan.choosing + plan.seeds)
    return sum(starts * s.warm_seconds + each * (s.steps * s.seconds + 1) for s in plan.sizes.values())


ALL = tuple(METHODS)
SIZES = {
    "countdown": Size(100, 16, 1e-4, 0.05, 40),
    "chain": Size(40, 16, 1e-4, 0.16, 65),
    "abstain": Size(40, 16, 1e-4, 0.17, 86),
}
SGD_RATES = {"countdown": 0.1, "chain": 0.2, "abstain": 0.02}
LONG = {task: size._replace(steps=3 * size.steps, prompts=32, seconds=4 * size.seconds) for task, size in SIZES.items()}
FULL = LONG | {
    f"{task} / SGD": LONG[task]._replace(task=task, optimizer="sgd", rate=rate) for task, rate in SGD_RATES.items()
}
CLAIM = Claim(
    name="training",
    says="λ-GRPO trains to a higher accuracy than GRPO, and faster.",
    paper="Four settings on OpenRS, 1,000 steps: the mean of five benchmarks rises from 0.484 to 0.558, 0.539 to 0.574 "
    "and 0.084 to 0.100, and falls from 0.100 to 0.097; peak validation accuracy in fewer than half the steps.",
    rule="For each task, on final accuracy and on the area under the accuracy curve: reproduced if p = 1 minus p = 0 "
    f"and minus every control have their low ends above 0, with {MANY} seeds or more; partly if p = 1 minus p = 0 has "
    f"for at least one of the two; not reproduced if both upper ends are below {SMALL}; else not testable here, as is "
    "what was trained at one rate or at the edge of a grid. The claim: reproduced if most tasks are, partly if any is "
    "at least partly, not reproduced if all are not, else not testable here. Speed is judged by the area; steps to "
    "GRPO's peak are shown only.",
    plans={
        "quick": Plan(
            {"chain": Size(40, 8, 1e-4, 0.09, 33)}, ("p = 0", "p = 0.5", "p = 1", "position"), 5, 0, 0, 350, True
        ),
        "standard": Plan(SIZES, ALL, 10, 3, 1, 0, False),
        "full": Plan(FULL, ALL, 30, 5, 2, 0, False, 16),
    },
    cost=cost,
    run=run,
    decide=decide,
    figures={"training": draw_gains, "training_curves": draw_curves, "training_rates": draw_rates},
    captions={
        "training": "Differences in accuracy between methods, paired by seed, in the colour of what is subtracted.",
        "training_curves": "Each method at its rate, mean over fresh seeds, with bands of p = 0 and p = 1: accuracy of "
        "the completions trained on, share of intermediate tokens, what p = 1 would make of the size and the direction "
        "of the update (1: nothing), and norm of the gradient. Before training the methods are equal.",
        "training_rates": "Final accuracy of every rate that was tried, on the seeds for choosing.",
    },
)  # fmt: skip
