"""λ-GRPO trains to a higher accuracy, and faster: small reasoning tasks through our own trainer, with controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

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
from .jobs import RunJobs
from .methods import CONTROLS, NAMES
from .paired import difference, mean_finding, seeds_needed
from .rates import CHOOSING, PLATEAU, Choice
from .training_crossed import Trained, crossed
from .training_drawing import BESIDE, curves_table, draw_curves, draw_gains, draw_rates, gains_table, rates_table
from .training_plan import ONE_START, Plan, Run, Size, chosen_rates, cost, start_jobs, training_job
from .training_pretrained import PRETRAINED, announce, memory, models_of, needs, runs
from .training_runs import SAMPLES, curve, value

MEASURES = ("final accuracy", "area")
SHOWN = ("greedy", f"pass@{SAMPLES}", "steps to GRPO's peak")
SMALL = 0.01  # a gain below this is none
MANY = 10  # seeds that `reproduced` needs
WINDOW = 10  # steps that a peak is the mean of


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Make the warm starts, choose rates, then compare on fresh seeds; or train every seed at every rate."""
    starts = start_jobs(plan, seed)
    before = dict(zip(starts, run_jobs(list(starts.values())), strict=True))
    trained = crossed(plan, seed, run_jobs) if plan.crossed else _on_fresh_seeds(plan, seed, run_jobs)
    findings: list[Finding] = []
    for task in plan.sizes:
        by_method = {method: trained[task, method] for method in plan.methods}
        start = [record["accuracy"][0] for (name, n), record in before.items() if name == task and n < CHOOSING]
        findings.append(mean_finding(task, "", "before training", start))
        findings += _majority(task, by_method[plan.methods[0]][1])
        findings += compare(task, by_method)
    curves = {(*key, n): record for key, (_, records) in trained.items() for n, record in enumerate(records)}
    tables = {
        "training": gains_table(findings),
        "training_curves": curves_table(curves),
        "training_rates": rates_table({key: choice.scores for key, (choice, _) in trained.items()}),
    }
    return Evidence(findings, tables, _notes(plan))


def _on_fresh_seeds(plan: Plan, seed: int, run_jobs: RunJobs) -> Trained:
    """Every method at the rate that was chosen on other seeds."""
    choices = chosen_rates(plan, seed, run_jobs)
    fresh = [
        Run(task, method, choices[task, method].rate, n)
        for task, n, method in product(plan.sizes, range(plan.seeds), plan.methods)
    ]
    records = dict(zip(fresh, run_jobs([training_job(run, plan, seed) for run in fresh]), strict=True))
    return {
        key: (choice, [record for run, record in records.items() if (run.task, run.method) == key])
        for key, choice in choices.items()
    }


def _majority(task: str, records: Sequence[pl.DataFrame]) -> list[Finding]:
    """What the majority answer gets on the prompts by which the end is judged; none of records that lack it."""
    known = [record.filter(statistic="final_majority")["value"].drop_nulls() for record in records]
    values = [float(of_seed[0]) for of_seed in known if len(of_seed)]
    return [mean_finding(task, "", "majority answer", values)] if values else []


def compare(task: str, runs: Mapping[str, tuple[Choice, list[pl.DataFrame]]]) -> list[Finding]:
    """Means of the methods over fresh seeds, and their paired differences.

    Args:
        task: The part.
        runs: Method to its rate, which says whether it lies at an edge, and a record a seed, the same seeds for all.
    """
    values = {method: _measures(records, runs["p = 0"][1]) for method, (_, records) in runs.items()}
    findings = [
        mean_finding(task, measure, method, values[method][measure])
        for measure in (*MEASURES, *SHOWN, *BESIDE[1:])
        for method in runs
    ]
    findings += [Finding(task, "rate", method, choice.rate, note=choice.note) for method, (choice, _) in runs.items()]
    others = [method for method in ("p = 0", *CONTROLS) if method in runs]
    for measure, other in product(MEASURES, others):
        note = runs["p = 1"][0].note or runs[other][0].note  # a rate at an edge on either side decides nothing
        one, against = values["p = 1"][measure], values[other][measure]
        findings.append(difference(task, measure, f"p = 1 - {other}", one, against, note=note))
    for measure, one in product(MEASURES, [m for m in ("p = 0.5", "parent") if m in runs]):
        against = values["p = 0"][measure]
        findings.append(difference(task, measure, f"{one} - p = 0", values[one][measure], against, judged=False))
    return findings


def _measures(records: list[pl.DataFrame], plain: list[pl.DataFrame]) -> dict[str, list[float]]:
    """Everything that is compared, a value a seed."""
    accuracy, theirs = ([curve(record, "accuracy") for record in some] for some in (records, plain))
    measures = {
        "final accuracy": [value(record, "final_accuracy") for record in records],
        "area": [float(line.mean()) for line in accuracy],
        "greedy": [value(record, "final_greedy") for record in records],
        f"pass@{SAMPLES}": [value(record, "final_passed") for record in records],
        "steps to GRPO's peak": [_steps_to_peak(line, their) for line, their in zip(accuracy, theirs, strict=True)],
    }
    return measures | {name: [_known_mean(curve(record, name)) for record in records] for name in BESIDE[1:]}


def _known_mean(values: np.ndarray) -> float:
    """Mean of what is known; NaN where nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _steps_to_peak(line: np.ndarray, plain: np.ndarray) -> float:
    """Steps until the smoothed accuracy is what it is at most under GRPO; the run's length where it never is."""
    window = min(WINDOW, len(line))
    own, theirs = (np.convolve(values, np.full(window, 1 / window), "valid") for values in (line, plain))
    # The two smoothed curves are sums in another order: equal ones differ in the last bits.
    reached = np.flatnonzero(own >= theirs.max() - 1e-9)
    return float(reached[0] + window if len(reached) else len(line))


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    tasks = list(dict.fromkeys(f.part for f in findings))
    all_gains = [f for measure in MEASURES for f in pick(findings, "p = 1 - p = 0", setting=measure)]
    gains = {task: [f for f in all_gains if f.part == task] for task in tasks}
    parts = {task: word_of_gains(gains[task], findings) for task in tasks}
    word = of_most(parts)
    gained = "; ".join(f"{task} {_with_interval(gains[task][0])}" for task in tasks)
    why = f"final accuracy, p = 1 minus p = 0: {gained}"
    unsure = [f for task in tasks if parts[task] == NOT_TESTABLE for f in gains[task] if not f.note]
    if word == NOT_TESTABLE and unsure:
        why += f" (needs about {max(seeds_needed(f, SMALL) for f in unsure):,} seeds)"
    return Verdict(word, why, parts)


def word_of_gains(gains: Sequence[Finding], findings: Sequence[Finding]) -> Word:
    """The word of one task, or of one β of openrs.

    Args:
        gains: p = 1 minus p = 0 on each of two measures, of one part.
        findings: All, with p = 1 minus each control on the same measures.
    """
    part = gains[0].part
    won = [f.above and not f.note for f in gains]
    controls = [f for c in CONTROLS for f in pick(findings, f"p = 1 - {c}", part=part)]
    beaten = len(controls) == len(CONTROLS) * len(MEASURES) and all(f.above and not f.note for f in controls)
    if all(won) and beaten and min(f.n for f in gains) >= MANY:
        return REPRODUCED
    if any(won):
        return PARTLY
    # What was trained at one rate, or at an edge, is not known to be small: a better rate may lie elsewhere.
    small = all(f.high is not None and f.high < SMALL and not f.note for f in gains)
    return NOT_REPRODUCED if small else NOT_TESTABLE


def _with_interval(finding: Finding) -> str:
    if finding.low is None or finding.high is None:
        return f"{finding.mean:+.3f}"
    note = f", {finding.note}" if finding.note else ""
    return f"{finding.mean:+.3f} [{finding.low:+.3f}, {finding.high:+.3f}]{note}"


def _notes(plan: Plan) -> list[str]:
    sizes = "; ".join(f"{task} {size.steps} steps of {size.prompts} prompts" for task, size in plan.sizes.items())
    policy = models_of(plan) or "A GPT-2 of 2 layers and 64 units"
    notes = [
        f"{policy}, Adam, k = {plan.group_size}, temperature 1: {sizes}. Methods share prompts, draws and warm start "
        "of a seed; no gradient clipping. Under Adam a constant factor on the loss does next to nothing, so scale- and "
        "norm-matched controls say more under SGD (binary-tree).",
        f"Final accuracy: share of {SAMPLES} completions each of 128 held-out prompts. Area: mean accuracy of the "
        f"completions that are trained on. Steps to GRPO's peak: of the accuracy smoothed over {WINDOW} steps, the "
        "run's length where it is never reached.",
    ]
    if plan.one_start:
        notes.append(ONE_START)
    if plan.crossed:
        notes.append(
            "Every seed is trained at each of 3 rates, and reported at the rate that the other seeds choose (rates "
            f"whose scores differ by less than {PLATEAU} are as good, and the middle one is taken); a comparison "
            "counts for nothing where all seeds together choose the edge."
        )
    elif plan.choosing:
        notes.append(
            f"Rates chosen for each method and task on {plan.choosing} other seeds, from 3, a grid that widens by up "
            f"to {plan.widen} at its edges (rates whose scores differ by less than {PLATEAU} are as good, and the "
            "middle one is taken); a comparison whose rate is left at an edge counts for nothing."
        )
    else:
        notes.append("All methods train at one rate, so nothing can be decided: --budget standard searches a grid.")
    return notes


SIZES = {
    "countdown": Size(100, 16, 1e-4, 0.05, 40),
    "chain": Size(40, 16, 1e-4, 0.16, 65),
    "abstain": Size(40, 16, 1e-4, 0.17, 86),
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
        "standard": Plan(SIZES, NAMES, 10, 3, 1, 0, False),
        "full": PRETRAINED,
    },
    cost=cost,
    run=run,
    decide=decide,
    needs=needs,
    announce=announce,
    memory=memory,
    runs=runs,
    figures={"training": draw_gains, "training_curves": draw_curves, "training_rates": draw_rates},
    captions={
        "training": "Differences in accuracy between methods, paired by seed, in the colour of what is subtracted.",
        "training_curves": "Each method at its rate, mean over fresh seeds, with bands of p = 0 and p = 1: accuracy of "
        "the completions trained on, share of intermediate tokens, what p = 1 would make of the size and the direction "
        "of the update (1: nothing), and norm of the gradient. Before training the methods are equal.",
        "training_rates": "Final accuracy of every rate that was tried, on the seeds for choosing.",
    },
)  # fmt: skip
