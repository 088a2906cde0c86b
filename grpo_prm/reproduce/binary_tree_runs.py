"""The paper's binary tree: which policies are trained in which settings, and their runs as jobs."""

from __future__ import annotations

from itertools import product
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from ..core.forest import Floats
from .jobs import Job, RunJobs
from .methods import BY_NAME, NAMES
from .rates import CHOOSING
from .tabular import paper_tree
from .tree_runs import train_trees

SETTINGS = tuple(product((1, 2), (-0.5, -1.0, -1.5)))  # n and r_neg: the six of the paper's Table 1
MAIN = "n = 1, r_neg = -1"  # where the paper's gain is largest; the controls are judged here
LAST = 50  # steps over which the target is counted


class Policy(NamedTuple):
    """What is trained: its settings for `train_trees`, the first grid of rates, and whether it is a tiny GPT-2."""

    name: str
    grid: tuple[float, ...]
    settings: tuple[tuple[str, Any], ...]
    network: bool = False


class Place(NamedTuple):
    """A policy in one of the six settings."""

    policy: Policy
    shared: int
    bad: float

    @property
    def setting(self) -> str:
        """The setting as findings have it: n and r_neg."""
        return f"n = {self.shared}, r_neg = {self.bad:g}"


SGD_GRID, ADAM_GRID = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0), (0.0125, 0.025, 0.05, 0.1, 0.2, 0.4)
TABULAR = (
    Policy("softmax / SGD", SGD_GRID, (("optimizer", "sgd"),)),
    Policy("random softmax / SGD", SGD_GRID, (("optimizer", "sgd"), ("spread", 1.0))),
    Policy("softmax / Adam", ADAM_GRID, (("optimizer", "adam"),)),
)
NETWORKS = (
    Policy("tiny GPT-2 / Adam", (1e-4, 2e-4, 4e-4, 8e-4, 1.6e-3, 3.2e-3), (("optimizer", "adam"),), network=True),
    Policy("tiny GPT-2 / SGD", (0.00625, 0.0125, 0.025, 0.05, 0.1, 0.2), (("optimizer", "sgd"),), network=True),
)


class Plan(NamedTuple):
    """How many seeds choose the rates, and how many fresh ones are reported.

    Attributes:
        choosing: Seeds on which rates are chosen.
        seeds: Fresh ones of the tabular policies, and at most as many of the others.
        networks: How many of `NETWORKS` are trained.
        main: Fresh seeds of a network at n = 1, r_neg = -1.
        elsewhere: Fresh seeds of a network in the other settings.
        steps: Of a run.
    """

    choosing: int
    seeds: int
    networks: int = 0
    main: int = 0
    elsewhere: int = 0
    steps: int = 250

    @property
    def places(self) -> list[Place]:
        """Every policy in every setting."""
        return [Place(policy, *setting) for policy in (*TABULAR, *NETWORKS[: self.networks]) for setting in SETTINGS]

    def fresh(self, place: Place) -> int:
        """Fresh seeds of a place."""
        if not place.policy.network:
            return self.seeds
        return min(self.seeds, self.main if place.setting == MAIN else self.elsewhere)


def tree_record(
    shared: int,
    bad: float,
    methods: list[str],
    rates: list[float],
    seeds: list[int],
    steps: int,
    settings: dict[str, Any],
    network: bool,
) -> pl.DataFrame:
    """Runs of every method at every rate: a row a run with its curve, and the target's share late and early.

    Args:
        shared: n.
        bad: r_neg.
        methods: Names.
        rates: Learning rates.
        seeds: First seed and how many.
        steps: Of a run.
        settings: Of the policy.
        network: A tiny GPT-2 in place of the tabular softmax.
    """
    train = train_trees
    if network:
        import torch

        from .gpt_trees import train_gpt_trees as train

        torch.set_num_threads(1)  # in a process of the tests too, whatever it was started with
    chosen = [BY_NAME[name] for name in methods]
    own = range(seeds[0], seeds[0] + seeds[1])
    tree = paper_tree(shared, bad)
    # Target probabilities, shape (methods, rates, seeds, steps).
    curves = train(tree, chosen, rates, own, steps=steps, **settings).astype(np.float32)
    places = product(range(len(chosen)), range(len(rates)), range(len(own)))
    rows = [(chosen[m].name, rates[r], own[s], curves[m, r, s].tolist()) for m, r, s in places]
    table = pl.DataFrame(
        rows,
        schema={"method": pl.String, "rate": pl.Float64, "seed": pl.Int64, "curve": pl.List(pl.Float32)},
        orient="row",
    )
    early = early_share(curves).ravel()  # rows are in the order of the axes
    late = pl.col("curve").list.tail(min(LAST, steps)).list.mean().cast(pl.Float64)
    return table.with_columns(target=late, early=pl.Series(early, dtype=pl.Float64))


def early_share(curves: ArrayLike, last: int = LAST) -> Floats:
    """Highest mean over `last` steps in a row that end before the last `last` steps begin, shape (...).

    What a run had before its end: a run that keeps rising has less of it than it has late. Where fewer than `last`
    steps stand before the last ones it is the mean over those, and NaN where none do.

    Args:
        curves: Probability of the target before every step, shape (..., steps).
        last: Steps of a window.
    """
    before = np.asarray(curves, np.float64)
    before = before[..., : max(before.shape[-1] - last, 0)]
    width = min(last, before.shape[-1])
    if not width:
        return np.full(before.shape[:-1], np.nan)
    return np.lib.stride_tricks.sliding_window_view(before, width, axis=-1).mean(-1).max(-1)


def choosing_scores(
    pairs: list[tuple[tuple[Place, str], float]], plan: Plan, seed: int, run_jobs: RunJobs
) -> list[float]:
    """Mean target share of methods at rates, on seeds that are not reported."""
    # Methods at one rate, then rates of one set of methods, go into one job: many runs at once cost little more than
    # one. A network takes longer, so each of its rates is a job.
    together: dict[tuple[Place, float], list[str]] = {}
    for (place, name), rate in pairs:
        together.setdefault((place, rate), []).append(name)
    rates: dict[tuple[Place, tuple[str, ...], float | None], list[float]] = {}
    for (place, rate), names in together.items():
        rates.setdefault((place, tuple(names), rate if place.policy.network else None), []).append(rate)
    jobs = [tree_job(place, list(names), some, CHOOSING, plan, seed) for (place, names, _), some in rates.items()]
    scores: dict[tuple[tuple[Place, str], float], float] = {}
    for (place, *_), table in zip(rates, run_jobs(jobs), strict=True):
        for (name, rate), runs in table.sort("seed").group_by("method", "rate", maintain_order=True):
            scores[(place, name), rate] = float(runs["target"].to_numpy().mean())
    return [scores[pair] for pair in pairs]


def tree_job(place: Place, methods: list[str], rates: list[float], first: int, plan: Plan, seed: int) -> Job:
    """Runs of some methods at some rates, all seeds at once."""
    number = plan.choosing if first else plan.fresh(place)
    which = "choosing" if first else "fresh"
    # The name of a record tells methods and rates; the arguments, which its key has, tell the rest.
    name = "all" if len(methods) == len(NAMES) else "+".join(methods).replace(" = ", "")
    span = "-".join(f"{rate:g}" for rate in (rates if len(rates) < 3 else (rates[0], rates[-1])))
    arguments = {
        "shared": place.shared,
        "bad": place.bad,
        "methods": methods,
        "rates": rates,
        "seeds": [seed * 100_000 + first, number],
        "steps": plan.steps,
        "settings": dict(place.policy.settings),
        "network": place.policy.network,
    }
    folder = f"binary-tree/{place.policy.name.replace(' / ', '-').replace(' ', '-')}/n{place.shared}-r{place.bad:g}"
    cost = run_seconds(place.policy) * len(methods) * len(rates) * number * plan.steps / 250
    return Job(f"{folder}/{which}-{name}-{span}", tree_record, arguments, cost)


def run_seconds(policy: Policy) -> float:
    """Of one core, for a run of 250 steps among many."""
    return 0.06 if policy.network else 1.5e-3
