"""Every seed at every rate: a plan whose runs are all known before the first, so that it can go on over days.

A seed is reported at the rate that the other seeds choose, so no run has a say in whether it is reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import numpy as np
import polars as pl

from .jobs import Job, RunJobs
from .rates import Choice, choose
from .training_plan import Plan, Run, grid, training_job
from .training_runs import value

Trained = dict[tuple[str, str], tuple[Choice, list[pl.DataFrame]]]  # task and method to its rate, and a record a seed


def crossed_jobs(plan: Plan, seed: int) -> dict[Run, Job]:
    """Every run of the plan, a whole seed at a rate before the next: what is done early can be compared early."""
    cases = [
        Run(task, method, rate, n)
        for task, size in plan.sizes.items()
        for n, rate, method in product(range(plan.seeds), _from_the_middle(size.rate), plan.methods)
    ]
    return {run: training_job(run, plan, seed) for run in cases}


def crossed(plan: Plan, seed: int, run_jobs: RunJobs) -> Trained:
    """Run them, and choose for every method and seed."""
    jobs = crossed_jobs(plan, seed)
    records = dict(zip(jobs, run_jobs(list(jobs.values())), strict=True))
    trained: Trained = {}
    for task, method in product(plan.sizes, plan.methods):
        by_rate = {
            rate: [records[Run(task, method, rate, n)] for n in range(plan.seeds)]
            for rate in grid(plan.sizes[task].rate)
        }
        ends = {rate: [value(record, "final_accuracy") for record in own] for rate, own in by_rate.items()}
        rates = [rate_without(ends, n) for n in range(plan.seeds)]
        choice = choose({rate: float(np.mean(own)) for rate, own in ends.items()})
        trained[task, method] = choice, [by_rate[rate][n] for n, rate in enumerate(rates)]
    return trained


def rate_without(ends: Mapping[float, Sequence[float]], n: int) -> float:
    """The rate that all seeds but the n-th choose.

    Args:
        ends: Accuracy at the end of every seed, by rate; two seeds or more.
        n: The seed that is reported.
    """
    return choose({rate: float(np.mean([*own[:n], *own[n + 1 :]])) for rate, own in ends.items()}).rate


def _from_the_middle(rate: float) -> list[float]:
    low, middle, high = grid(rate)
    return [middle, low, high]
