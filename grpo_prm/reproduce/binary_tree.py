"""The paper's Table 1: on a binary tree λ-GRPO finds a target behind a bad branch that GRPO does not find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import polars as pl

from ..core.interval import wilson
from .claims import NOT_REPRODUCED, NOT_TESTABLE, PARTLY, REPRODUCED, Claim, Evidence, Finding, Verdict, Word, pick
from .jobs import Do, Job
from .paired import bands, difference, mean_finding
from .rates import PLATEAU, Choice, choose_rates
from .tabular import paper_tree
from .tree_runs import METHODS, train_trees

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SETTINGS = tuple(product((1, 2, 3), (-1.0, 0.0)))  # n and r_neg
HARDEST = "n = 1, r_neg = -1"
CONTROLS = ("scale-matched", "norm-matched", "position")
LAST = 50  # steps over which the target is counted
CEILING = 0.98
FOUND = 0.95  # target share of a run that has found it
WIDEN = 3  # rates by which a grid may grow
NAMES = tuple(method.name for method in METHODS)
CHOOSING = 50_000  # seeds from here on choose rates; those below are reported


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
        """N and r_neg."""
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
        hardest: Fresh seeds of a network at n = 1, r_neg = -1.
        elsewhere: Fresh seeds of a network in the other settings.
        steps: Of a run.
    """

    choosing: int
    seeds: int
    networks: int = 0
    hardest: int = 0
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
        return min(self.seeds, self.hardest if place.setting == HARDEST else self.elsewhere)


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
    """Runs of every method at every rate: a row a run with its curve and the target's share of the last steps.

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

        torch.set_num_threads(1)
    chosen = [method for method in METHODS if method.name in methods]
    own = range(seeds[0], seeds[0] + seeds[1])
    tree = paper_tree(shared, bad)
    found = train(tree, chosen, rates, own, steps=steps, **settings).astype(np.float32)
    places = product(range(len(chosen)), range(len(rates)), range(len(own)))
    rows = [(chosen[m].name, rates[r], own[s], found[m, r, s].tolist()) for m, r, s in places]
    table = pl.DataFrame(
        rows,
        schema={"method": pl.String, "rate": pl.Float64, "seed": pl.Int64, "curve": pl.List(pl.Float32)},
        orient="row",
    )
    return table.with_columns(target=pl.col("curve").list.tail(min(LAST, steps)).list.mean().cast(pl.Float64))


def run(plan: Plan, seed: int, do: Do) -> Evidence:
    """Choose rates in every setting, then compare on fresh seeds."""
    places = plan.places
    choices = choose_rates(
        lambda pairs: _scores(pairs, plan, seed, do),
        {(place, name): place.policy.grid for place in places for name in NAMES},
        WIDEN,
    )
    jobs = [_job(place, [name], [choices[place, name].rate], 0, plan, seed) for place in places for name in NAMES]
    fresh = dict(zip(product(places, NAMES), do(jobs), strict=True))
    findings: list[Finding] = []
    for place in places:
        mine = {name: (choices[place, name], fresh[place, name]) for name in NAMES}
        findings += compare(place.policy.name, place.setting, mine)
    where = [(place.policy.name, place.setting) for place in places]
    curves = [
        _curve(fresh[place, name]).with_columns(part=pl.lit(at[0]), panel=pl.lit(at[1]), method=pl.lit(name))
        for place, at in zip(places, where, strict=True)
        for name in NAMES
    ]
    scores = [
        (*at, name, rate, score)
        for place, at in zip(places, where, strict=True)
        for name in NAMES
        for rate, score in choices[place, name].scores.items()
    ]
    rates = pl.DataFrame(scores, schema=["part", "panel", "method", "rate", "score"], orient="row")
    notes = [
        f"Target share: probability of the target, mean over the last {LAST} of {plan.steps} steps; k = 16, one group "
        "a step, target +1, r_neg for what shares at least its first n tokens, 0.7 elsewhere (our reading of the "
        "paper's n; its six settings are not all public). random softmax: log-odds drawn from a normal distribution "
        "at the start, else 0.",
        f"Rates chosen for each method and setting on {plan.choosing} seeds, from 6 on, a grid that widens by up to "
        f"{WIDEN} at its edges (rates whose scores differ by less than {PLATEAU} are as good, and the middle one is "
        f"taken); reported on {plan.seeds} fresh seeds, whose intervals do not hold how a rate was chosen. Methods "
        "share the random numbers of a seed.",
        f"A tiny GPT-2 (2 layers of 32 units, constrained to the two decisions) at {HARDEST}: "
        f"{min(plan.seeds, plan.hardest)} fresh seeds, elsewhere {min(plan.seeds, plan.elsewhere)}; methods share its "
        "first weights."
        if plan.networks
        else "No GPT-2 was trained: --budget standard does it.",
    ]
    tables = {"binary_tree": _shares(findings), "binary_tree_curves": pl.concat(curves), "binary_tree_rates": rates}
    return Evidence(findings, tables, notes)


def _scores(pairs: list[tuple[tuple[Place, str], float]], plan: Plan, seed: int, do: Do) -> list[float]:
    """Mean target share of methods at rates, on seeds that are not reported; a job for each set of methods."""
    together: dict[tuple[Place, float], list[str]] = {}
    for (place, name), rate in pairs:
        together.setdefault((place, rate), []).append(name)
    rates: dict[tuple[Place, tuple[str, ...], float | None], list[float]] = {}
    for (place, rate), names in together.items():  # a network takes longer: a job for each of its rates
        rates.setdefault((place, tuple(names), rate if place.policy.network else None), []).append(rate)
    jobs = [_job(place, list(names), some, CHOOSING, plan, seed) for (place, names, _), some in rates.items()]
    found: dict[tuple[tuple[Place, str], float], float] = {}
    for (place, *_), table in zip(rates, do(jobs), strict=True):
        for (name, rate), runs in table.sort("seed").group_by("method", "rate", maintain_order=True):
            found[(place, name), rate] = float(runs["target"].to_numpy().mean())
    return [found[pair] for pair in pairs]


def _job(place: Place, methods: list[str], rates: list[float], first: int, plan: Plan, seed: int) -> Job:
    """Runs of some methods at some rates, all seeds at once."""
    number = plan.choosing if first else plan.fresh(place)
    which = "choosing" if first else "fresh"
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
    cost = _seconds(place.policy) * len(methods) * len(rates) * number * plan.steps / 250
    return Job(f"{folder}/{which}-{name}-{span}", tree_record, arguments, cost)


def compare(part: str, setting: str, fresh: Mapping[str, tuple[Choice, pl.DataFrame]]) -> list[Finding]:
    """Means of the methods on fresh seeds, and their paired differences.

    Args:
        part: Policy and optimizer.
        setting: n and r_neg.
        fresh: Method to its rate, which says whether it lies at an edge, and its runs: `seed`, `target`, the same seeds
            for every method.
    """
    of = {name: runs.sort("seed")["target"].to_numpy() for name, (_, runs) in fresh.items()}
    choices = {name: choice for name, (choice, _) in fresh.items()}
    findings = [mean_finding(part, setting, name, of[name]) for name in choices]
    findings += [_found(part, setting, name, target) for name, target in of.items()]
    findings += [
        Finding(part, setting, f"rate of {name}", choice.rate, note=choice.note) for name, choice in choices.items()
    ]
    top = of["p = 0"].mean() >= CEILING and of["p = 1"].mean() >= CEILING
    for one, other in (("p = 1", "p = 0"), *(("p = 1", control) for control in CONTROLS)):
        judged = other == "p = 0" or setting == HARDEST
        note = "ceiling" if top and other == "p = 0" else choices[one].note or choices[other].note
        findings.append(difference(part, setting, f"{one} - {other}", of[one], of[other], judged=judged, note=note))
    for one in ("p = 0.5", "parent"):
        findings.append(difference(part, setting, f"{one} - p = 0", of[one], of["p = 0"], judged=False))
    return findings


def _found(part: str, setting: str, name: str, target: np.ndarray) -> Finding:
    """Share of the seeds that find the target, with Wilson's interval."""
    number = int((target > FOUND).sum())
    low, high = wilson(number, len(target))
    return Finding(
        part, setting, f"seeds that find it, {name}", number / len(target), float(low), float(high), len(target)
    )


def decide(findings: Sequence[Finding]) -> Verdict:
    """See `CLAIM.rule`."""
    parts = {part: _word(pick(findings, "p = 1 - p = 0", part=part), findings) for part in _parts(findings)}
    words = set(parts.values())
    word = words.pop() if len(words) == 1 else PARTLY if words & {REPRODUCED, PARTLY} else NOT_REPRODUCED
    said = [_said(findings, f) for f in pick(findings, "p = 1 - p = 0", setting=HARDEST)]
    why = f"target share at {HARDEST}, GRPO and p = 1 (paper 0.0000 and 0.7535): {'; '.join(said)}"
    return Verdict(word, why, parts)


def _said(findings: Sequence[Finding], gain: Finding) -> str:
    """Both shares of a policy, and how the placebo stands to p = 1."""
    levels = [pick(findings, name, part=gain.part, setting=HARDEST)[0].mean or 0.0 for name in ("p = 0", "p = 1")]
    placebo = pick(findings, "p = 1 - position", part=gain.part, setting=HARDEST)[0]
    how = "beaten" if placebo.above else "better" if placebo.below else "not told apart"
    beside = gain.note or placebo.note or f"position placebo {how}"
    sure = "" if gain.above or gain.below else ", not told apart"
    return f"{gain.part} {levels[0]:.3f} and {levels[1]:.3f}{sure} ({beside})"


def _parts(findings: Sequence[Finding]) -> list[str]:
    return list(dict.fromkeys(f.part for f in findings))


def _word(gains: list[Finding], findings: Sequence[Finding]) -> Word:
    if any(f.note for f in gains if f.setting == HARDEST):
        return NOT_TESTABLE
    counting = [f for f in gains if f.note != "ceiling"]
    won = [f.setting for f in counting if f.above and not f.note]
    controls = [pick(findings, f"p = 1 - {c}", part=gains[0].part, setting=HARDEST)[0] for c in CONTROLS]
    if len(won) == len(counting) and all(f.above and not f.note for f in controls):
        return REPRODUCED
    return PARTLY if HARDEST in won and not any(f.below for f in controls) else NOT_REPRODUCED


def _curve(fresh: pl.DataFrame) -> pl.DataFrame:
    """Mean curve over seeds with its interval."""
    mean, low, high = bands(fresh["curve"].to_list())
    return pl.DataFrame({"step": np.arange(len(mean)), "mean": mean, "low": low, "high": high})


def _shares(findings: Sequence[Finding]) -> pl.DataFrame:
    """What `interval_rows` draws: every method's target share."""
    rows = [(f.part, f.setting, f.what, f.mean, f.low, f.high) for f in findings if f.what in NAMES]
    return pl.DataFrame(rows, schema=["panel", "row", "method", "mean", "low", "high"], orient="row")


def draw_shares(table: pl.DataFrame) -> Figure:
    """Target share of every method in every setting, a panel for each policy."""
    from .drawing import interval_rows

    return interval_rows(table, "target share", share=True)


def draw_curves(table: pl.DataFrame) -> Figure:
    """Probability of the target over steps in the hardest setting, a panel for each policy."""
    from .drawing import curves

    hardest = table.filter(panel=HARDEST).drop("panel").rename({"part": "panel"})
    return curves(hardest, "π(target)")


def draw_rates(table: pl.DataFrame) -> Figure:
    """Score of every rate on the seeds for choosing, in the hardest setting."""
    from .drawing import rate_curves

    return rate_curves(table.filter(panel=HARDEST).drop("panel").rename({"part": "panel"}), "target share")


def _seconds(policy: Policy) -> float:
    """Of one core, for a run of 250 steps among many."""
    return 0.06 if policy.network else 1.5e-3


def cost(plan: Plan) -> float:
    """Seconds of one core."""
    each = [_seconds(p.policy) * len(NAMES) * (6 * plan.choosing + plan.fresh(p)) for p in plan.places]
    return sum(each) * plan.steps / 250


CLAIM = Claim(
    name="binary-tree",
    says="On a binary tree of four decisions λ-GRPO finds the target where GRPO, pushed off the path to it, does not.",
    paper="Table 1, GPT-2 small, k = 16, 250 steps, 5 seeds: at n = 1, r_neg = -1 the target's share is 0.0000 with "
    "GRPO and 0.7535 with λ-GRPO; λ-GRPO is better in all six settings.",
    rule="For each policy and optimizer: reproduced if p = 1 minus p = 0 has its low end above 0 in all six settings, "
    "at rates inside their grids, and p = 1 beats all three controls at n = 1, r_neg = -1; partly if it beats p = 0 at "
    "n = 1, r_neg = -1 only, or a control ties there; else not reproduced, as where a control beats p = 1 there. A "
    "setting where both pass .98 is at its ceiling and counts neither way; where that is n = 1, r_neg = -1, or a rate "
    "there is left at the edge of its grid, it is not testable here. Where the policies differ the claim is partly "
    "reproduced if any is at least partly, else not.",
    plans={
        "quick": Plan(20, 200),
        "standard": Plan(20, 200, networks=1, hardest=80, elsewhere=20),
        "full": Plan(50, 1000, networks=2, hardest=200, elsewhere=100),
    },
    cost=cost,
    run=run,
    decide=decide,
    figures={"binary_tree": draw_shares, "binary_tree_curves": draw_curves, "binary_tree_rates": draw_rates},
    captions={
        "binary_tree": "Target share at each method's own rate, mean over fresh seeds with its interval. Most seeds "
        "end near 0 or near 1: a mean is mostly the share of seeds that find the target.",
        "binary_tree_curves": f"{HARDEST}: probability of the target over training, fresh seeds.",
        "binary_tree_rates": f"{HARDEST}: target share of every rate that was tried, on the seeds for choosing. With "
        "20 seeds its standard error is up to .11.",
    },
)
