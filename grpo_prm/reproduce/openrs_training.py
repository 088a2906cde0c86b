"""The paper's own experiment: GRPO and λ-GRPO on OpenRS. Without a model the same code runs on a tiny one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from .claims import NOT_TESTABLE, Claim, Evidence, Finding, Verdict, of_most, pick
from .jobs import Job, RunJobs
from .methods import CONTROLS, NAMES
from .openrs_plan import (
    ENOUGH,
    LENGTH,
    PAPER,
    TINY,
    Plan,
    announce,
    backend_of,
    cost_in_words,
    needs,
    seconds_of,
)
from .openrs_runs import PROBLEM, openrs_record
from .paired import band_table, difference, mean_finding
from .training import word_of_gains

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHOLE = "the full experiment"
MEASURES = ("benchmarks", "validation")


def run(plan: Plan, seed: int, run_jobs: RunJobs) -> Evidence:
    """Every method with every β on every seed."""
    cases = list(product(plan.betas, range(plan.seeds), plan.methods))
    records = dict(zip(cases, run_jobs([_job(plan, *case, seed) for case in cases]), strict=True))
    # What the rule reads first: whether this was the experiment at all.
    findings = [Finding("", "", WHOLE, float(not plan.lacks), n=plan.seeds, note=plan.lacks)]
    for beta in plan.betas:
        by_method = {m: [records[beta, n, m] for n in range(plan.seeds)] for m in plan.methods}
        findings += compare(f"β = {beta:g}", by_method)
    speeds = pl.concat([record.filter(statistic="tokens_per_second") for record in records.values()])
    rate = float(np.median(speeds["value"].to_numpy()))
    curves = [_curve(plan, records, beta, method) for beta, method in product(plan.betas, plan.methods)]
    timings = {"tokens_per_second": round(rate)}
    return Evidence(findings, {"openrs_validation": pl.concat(curves)}, _notes(plan), timings)


def _job(plan: Plan, beta: float, n: int, method: str, seed: int) -> Job:
    backend = backend_of(plan, method)
    vllm = plan.vllm and backend == "trl"
    settings = (PAPER if plan.model else TINY) | {
        "model": plan.model,
        "prompt_column": PROBLEM,
        "beta": beta,
        "steps": plan.steps,
        "backend": backend,
        "vllm": vllm,
        "seed": seed * 100_000 + n,
    }
    arguments = {
        "method": method,
        "settings": settings,
        "data": plan.data,
        "benchmarks": list(plan.eval_data),
        "held_out": plan.held_out,
    }
    name = f"openrs/beta{beta:g}-{method.replace(' = ', '')}-seed{n}"
    alone = backend == "trl" and bool(plan.model)  # TRL and vLLM keep memory of the GPU until their process ends
    return Job(name, openrs_record, arguments, seconds_of(plan), works_in=True, alone=alone)


def compare(part: str, records: dict[str, list[pl.DataFrame]]) -> list[Finding]:
    """Mean of the benchmarks and best validation accuracy of the methods, and their paired differences.

    Args:
        part: β.
        records: Method to a record a seed.
    """
    values = {
        method: {"benchmarks": [_benchmarks(r) for r in own], "validation": [_best(r) for r in own]}
        for method, own in records.items()
    }
    findings = [mean_finding(part, name, method, values[method][name]) for name in MEASURES for method in records]
    findings += [
        mean_finding(part, "step of the best validation", m, [_best_step(r) for r in own]) for m, own in records.items()
    ]
    for measure, other in product(MEASURES, ("p = 0", *CONTROLS)):
        if other in values and "p = 1" in values:
            one, against = values["p = 1"][measure], values[other][measure]
            findings.append(difference(part, measure, f"p = 1 - {other}", one, against))
    return findings


def _benchmarks(record: pl.DataFrame) -> float:
    """Mean over the benchmarks."""
    return float(record.filter(pl.col("statistic").str.starts_with("benchmark/"))["value"].to_numpy().mean())


def _best(record: pl.DataFrame) -> float:
    return float(record.filter(statistic="accuracy")["value"].to_numpy().max())


def _best_step(record: pl.DataFrame) -> float:
    validation = record.filter(statistic="accuracy").sort("step")
    return float(validation["step"][int(np.argmax(validation["value"].to_numpy()))])  # of equal ones the first


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    gains = pick(findings, "p = 1 - p = 0", setting=MEASURES[0])
    gained = ", ".join(f"{f.part} {f.mean:+.3f}" for f in gains)
    if lacks := pick(findings, WHOLE)[0].note:
        return Verdict(NOT_TESTABLE, f"{lacks} (benchmarks, p = 1 minus p = 0: {gained})")
    parts = {f.part: word_of_gains(pick(findings, "p = 1 - p = 0", part=f.part), findings) for f in gains}
    return Verdict(of_most(parts), f"benchmarks, p = 1 minus p = 0: {gained}", parts)


def _notes(plan: Plan) -> list[str]:
    """What was run, and what the whole experiment costs."""
    if plan.model:
        what = f"{plan.model} on {plan.data}, {plan.steps} steps, {plan.seeds} seeds; one rate (1e-6), as in the paper."
    else:
        what = (
            f"Not the experiment: a tiny model on sums, {plan.steps} steps, through the same code (LoRA, math-verify, "
            "held-out validation, benchmarks, checkpoints). Give --model, --data and --eval-data for the experiment."
        )
    whole = plan._replace(methods=NAMES, betas=(0.0, 0.04), seeds=ENOUGH, whole_steps=LENGTH)
    cost = f"The experiment {cost_in_words(whole)}"
    differs = (
        "Unlike the authors' code: no dropout in the adapter (Theorem 1 does not hold with it), no end token forced "
        "after \\boxed{}; validation problems are split off the data."
    )
    inside = "All methods but norm-matched, which needs a second backward pass in every step, were trained inside TRL."
    return [what, cost, differs, *([inside] if plan.backend == "trl" else [])]


def _curve(plan: Plan, records: dict[Any, pl.DataFrame], beta: float, method: str) -> pl.DataFrame:
    """Validation accuracy over steps, mean and Student's interval over seeds."""
    runs = [records[beta, n, method].filter(statistic="accuracy").sort("step") for n in range(plan.seeds)]
    values = np.stack([run["value"].to_numpy() for run in runs])  # all seeds validate at the same steps
    table = band_table(values, runs[0]["step"])
    return table.with_columns(panel=pl.lit(f"β = {beta:g}"), method=pl.lit(method))


def draw(table: pl.DataFrame) -> Figure:
    """Validation accuracy over steps, a panel for each β."""
    from .drawing import curves

    return curves(table, "validation accuracy")


def cost(plan: Plan) -> float:
    """Seconds of one core, or of a GPU."""
    return len(plan.methods) * len(plan.betas) * plan.seeds * seconds_of(plan)


CLAIM = Claim(
    name="openrs-training",
    says="The paper's own experiment: on OpenRS λ-GRPO reaches a higher accuracy than GRPO, in fewer steps.",
    paper="Qwen-1.5B: 0.4837 to 0.5576 (β = 0), 0.5394 to 0.5739 (β = 0.04); Llama-3.2-1B: 0.0842 to 0.1001, 0.0996 to "
    "0.0973; peak validation accuracy in fewer than half the steps.",
    rule=f"Not testable here unless a model, data and benchmarks were given, and {LENGTH:,} steps with {ENOUGH} seeds "
    "or more ran; then as training, on the mean of the benchmarks and on the best validation accuracy.",
    plans={
        "quick": Plan(None, None, (), 2, ("p = 0", "p = 1"), (0.0, 0.04), 10, whole_steps=25),
        "standard": Plan(None, None, (), 3, NAMES, (0.0, 0.04), 20),
        "full": Plan(None, None, (), 10, NAMES, (0.0, 0.04), 40),
    },
    cost=cost,
    run=run,
    decide=decide,
    needs=needs,
    announce=announce,
    figures={"openrs_validation": draw},
    captions={
        "openrs_validation": "Accuracy on the validation problems, mean over seeds, with bands from three seeds on.",
    },
)
