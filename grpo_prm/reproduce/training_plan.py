"""What the claim about training trains: its plan, and runs and warm starts as jobs."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np

from .jobs import Job, RunJobs
from .rates import CHOOSING, Choice, choose_rates
from .training_runs import start_record, training_record, value

SAVE_EVERY = 5  # steps of a pretrained model, which take many seconds each
WARM = 40_000  # seed of a warm start that all seeds share
ONE_START = "One warm start for all seeds of a task: the intervals leave out how warm starts differ."


class Size(NamedTuple):
    """How a task is trained.

    Attributes:
        steps: Training steps.
        prompts: Prompts in a step, each with `group_size` completions.
        rate: The rate in the middle of the grid, or the only one.
        seconds: Of one core for a step, roughly.
        warm_seconds: Of one core for the warm start; of a model that is there, to say how good it is.
        task: Its name, where the part has another.
        model: Of the task, where it has no small one: a name or folder that `--model` takes.
        settings: More fields of `TrainConfig`, with their values.
    """

    steps: int
    prompts: int
    rate: float
    seconds: float
    warm_seconds: float
    task: str | None = None
    model: str | None = None
    settings: tuple[tuple[str, Any], ...] = ()


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
        crossed: Every seed trains at every rate of the grid, and is reported at the rate that the other seeds choose;
            there are no seeds for choosing.
    """

    sizes: dict[str, Size]
    methods: tuple[str, ...]
    seeds: int
    choosing: int
    widen: int
    warm_steps: int
    one_start: bool
    group_size: int = 8
    crossed: bool = False


class Run(NamedTuple):
    """What tells one run from another: its task, method, learning rate and seed."""

    task: str
    method: str
    rate: float
    seed: int


def start_jobs(plan: Plan, seed: int) -> dict[tuple[str, int], Job]:
    """A job for every warm start, by task and its seed in the plan.

    They are run before all others: a warm start that two runs want at the same time would be made twice.
    """
    numbers = [WARM] if plan.one_start else [*range(plan.seeds), *([CHOOSING] if plan.choosing else [])]
    return {
        (task, n): Job(
            f"training/{task}/warm-{n}",
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
    name = f"training/{run.task}/{run.method.replace(' = ', '')}-rate{run.rate:g}-seed{run.seed}"
    passes = 1.5 if run.method == "norm-matched" else 1.0  # a second backward pass
    seconds = size.seconds * size.steps * passes + _end(size)
    return Job(name, training_record, {"method": run.method, "settings": settings}, seconds, works_in=True)


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    starts = 1 if plan.one_start else plan.seeds + (plan.choosing > 0)
    each = len(plan.methods) * (3 * plan.seeds if plan.crossed else 3.5 * plan.choosing + plan.seeds)
    return sum(starts * s.warm_seconds + each * (s.steps * s.seconds + _end(s)) for s in plan.sizes.values())


def _end(size: Size) -> float:
    """Seconds in which the policy is judged at the end."""
    return size.warm_seconds if size.model else 1.0


def run_settings(task: str, n: int, rate: float, plan: Plan, seed: int) -> dict[str, Any]:
    """Fields of `TrainConfig` of the n-th seed."""
    size = plan.sizes[task]
    return _start_settings(task, n, plan, seed) | {
        "optimizer": "adam",
        "steps": size.steps,
        "prompts": size.prompts,
        "group_size": plan.group_size,
        "learning_rate": rate,
        "save_every": SAVE_EVERY if size.model else 50,  # a run that was interrupted goes on from here
    }


def _start_settings(task: str, n: int, plan: Plan, seed: int) -> dict[str, Any]:
    """Those that a warm start depends on; a model that is there already has none."""
    size = plan.sizes[task]
    own = {"task": size.task or task, "seed": seed * 100_000 + n, "threads": 1, **dict(size.settings)}
    if size.model:
        return own | {"model": size.model}
    return own | {
        # Seeds for choosing have one warm start together: choosing a rate needs no spread over warm starts.
        "warm_seed": seed * 100_000 + (WARM if plan.one_start else min(n, CHOOSING)),
        "warm_steps": plan.warm_steps or None,
    }


def chosen_rates(plan: Plan, seed: int, run_jobs: RunJobs) -> dict[tuple[str, str], Choice]:
    """The rate of every task and method: that with the best accuracy at the end of training."""
    keys = list(product(plan.sizes, plan.methods))
    if not plan.choosing:
        return {(task, method): Choice(plan.sizes[task].rate, None, {}) for task, method in keys}  # edge is not known

    def score(pairs: list[tuple[tuple[str, str], float]]) -> list[float]:
        runs = [Run(task, method, rate, CHOOSING + n) for (task, method), rate in pairs for n in range(plan.choosing)]
        records = run_jobs([training_job(run, plan, seed) for run in runs])
        # Runs are ordered by pair, then by seed.
        accuracies = np.array([value(record, "final_accuracy") for record in records])
        return accuracies.reshape(-1, plan.choosing).mean(axis=1).tolist()

    grids = {key: grid(plan.sizes[key[0]].rate) for key in keys}
    return choose_rates(score, grids, plan.widen)


def grid(rate: float) -> tuple[float, float, float]:
    """Three rates around one, each √10 times the one before."""
    return tuple(float(f"{rate * 10 ** (n / 2):.2g}") for n in (-1, 0, 1))  # ty: ignore[invalid-explicit-return]
