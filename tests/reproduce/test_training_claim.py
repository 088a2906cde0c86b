"""The training claim: planted wins, ties and losses get their words, and a small run is whole."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.methods import BY_NAME, CONTROLS
from grpo_prm.reproduce.methods import NAMES as METHODS
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.rates import Choice
from grpo_prm.reproduce.training import CLAIM, compare
from grpo_prm.reproduce.training_plan import Plan, Size
from grpo_prm.reproduce.training_runs import CURVES

TASKS = ("one", "two", "three")


def record(level, rng, steps=20):
    """A run whose accuracy rises to a level."""
    rows = [(step, "accuracy", level * (step + 1) / steps + 0.002 * rng.normal()) for step in range(steps)]
    rows += [(step, name, 0.5) for step in range(steps) for name in CURVES[1:]]
    ends = {"final_accuracy": level + 0.002 * rng.normal(), "final_greedy": 1 - level, "final_passed": level}
    rows += [(steps, name, value) for name, value in ends.items()]
    return pl.DataFrame(rows, schema=["step", "statistic", "value"], orient="row")


def planted(gains, seeds=10, edges=()):
    """Findings of three tasks, all at .5 but for (task, method) or method in `gains`."""
    rng, found = np.random.default_rng(5), []
    for task in TASKS:
        levels = {m: 0.5 + gains.get((task, m), gains.get(m, 0.0)) for m in METHODS}
        runs = {m: (Choice(1e-3, m in edges, {}), [record(levels[m], rng) for _ in range(seeds)]) for m in METHODS}
        found += compare(task, runs)
    return with_holm(found)


def test_a_planted_win_over_grpo_and_every_control():
    verdict = CLAIM.decide(planted({"p = 1": 0.2}))
    assert verdict.word == "reproduced" and set(verdict.parts.values()) == {"reproduced"}
    assert "one +0.2" in verdict.why


def test_holm_adjusts_for_what_the_rule_reads_and_nothing_else():
    judged = {(f.part, f.setting, f.what) for f in planted({"p = 1": 0.2}) if f.p is not None}
    others = ("p = 0", *CONTROLS)
    assert judged == {(t, m, f"p = 1 - {o}") for t in TASKS for m in ("final accuracy", "area") for o in others}


def test_it_needs_ten_seeds():
    assert CLAIM.decide(planted({"p = 1": 0.2}, seeds=9)).word == "partly"


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_that_does_as_well(control):
    assert CLAIM.decide(planted({"p = 1": 0.2, control: 0.2})).word == "partly"


def test_most_tasks_decide():
    assert CLAIM.decide(planted({("one", "p = 1"): 0.2, ("two", "p = 1"): 0.2})).word == "reproduced"
    verdict = CLAIM.decide(planted({("one", "p = 1"): 0.2}))
    assert verdict.word == "partly"
    assert verdict.parts == {"one": "reproduced", "two": "not reproduced", "three": "not reproduced"}


def test_losses_and_ties_that_are_sure():
    assert CLAIM.decide(planted({"p = 1": -0.2})).word == "not reproduced"
    assert CLAIM.decide(planted({})).word == "not reproduced"


def test_what_is_not_sure_says_how_many_seeds_it_needs():
    rng = np.random.default_rng(0)
    wide = {m: (Choice(1e-3, False, {}), [record(v, rng) for v in rng.uniform(0.3, 0.7, 5)]) for m in METHODS}
    verdict = CLAIM.decide(with_holm(compare("one", wide)))
    assert verdict.word == "not testable here"
    gains = [f for f in compare("one", wide) if f.what == "p = 1 - p = 0"]
    half = max((f.high - f.low) / 2 for f in gains)
    assert f"needs about {int(np.ceil(5 * (half / 0.01) ** 2)):,} seeds" in verdict.why


def test_no_verdict_from_an_edge():
    assert CLAIM.decide(planted({"p = 1": 0.2}, edges={"p = 1"})).word == "not testable here"
    assert CLAIM.decide(planted({}, edges={"p = 0"})).word == "not testable here"
    assert "seeds" not in CLAIM.decide(planted({}, edges={"p = 0"})).why
    assert ", edge" in CLAIM.decide(planted({}, edges={"p = 0"})).why


def test_no_verdict_from_one_rate():
    rng = np.random.default_rng(0)
    runs = {
        m: (Choice(1e-3, None, {}), [record(0.9 if m == "p = 1" else 0.5, rng) for _ in range(10)]) for m in METHODS
    }
    verdict = CLAIM.decide(with_holm(compare("one", runs)))
    assert verdict.word == "not testable here" and "one rate" in verdict.why


def test_rates_are_chosen_by_what_training_comes_to(tmp_path):
    ends = {3.2e-5: 0.3, 1e-4: 0.6, 3.2e-4: 0.9, 1e-3: 0.2}
    asked = []

    def do(jobs):
        rng, made = np.random.default_rng(0), []
        asked.append({job.arguments["settings"]["seed"] for job in jobs if "method" in job.arguments})
        for job in jobs:
            if "method" not in job.arguments:
                made.append(pl.DataFrame({"accuracy": [0.5], "greedy": [0.5], "passed": [0.5]}))
                continue
            made.append(record(ends[job.arguments["settings"]["learning_rate"]], rng))
        return made

    plan = Plan({"countdown": Size(3, 2, 1e-4, 1, 1)}, ("p = 0", "p = 1"), 2, 2, 1, 0, False)
    findings = CLAIM.run(plan, 0, do).findings
    for method in plan.methods:
        chosen = pick(findings, method, setting="rate")[0]
        assert (chosen.mean, chosen.note) == (3.2e-4, "")
    *choosing, reported = [seeds for seeds in asked if seeds]
    assert reported == {0, 1} and not reported & set.union(*choosing)


def test_the_end_is_judged_by_all_completions_by_the_likeliest_and_by_the_best(tmp_path, monkeypatch):
    """Four prompts, eight completions each: one right of three prompts, none of the fourth; no greedy one."""
    from grpo_prm.reproduce.training_runs import Final, final
    from grpo_prm.train import problem

    def right(rows, texts):
        values = np.zeros(len(texts))
        if len(texts) == 32:
            values[[0, 9, 18]] = 1
        return values

    def opened(*arguments, open_problem=problem.open_problem):
        policy, found = open_problem(*arguments)
        return policy, found._replace(right=right, majority=lambda rows: len(rows) / 100)

    monkeypatch.setattr(problem, "open_problem", opened)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    settings = {"task": "countdown", "seed": 0, "warm_seed": 0, "warm_steps": 2, "threads": 1, "eval_prompts": 4}
    assert final(settings, None) == Final(accuracy=3 / 32, greedy=0.0, passed=3 / 4, majority=0.04)


def test_steps_to_the_peak_of_grpo():
    rng = np.random.default_rng(1)
    runs = {m: (Choice(1e-3, False, {}), [record({"p = 1": 1.0}.get(m, 0.5), rng) for _ in range(3)]) for m in METHODS}
    found = compare("one", runs)
    steps = {f.what: f.mean for f in pick(found, "p = 1", setting="steps to GRPO's peak")}
    plain = pick(found, "p = 0", setting="steps to GRPO's peak")[0].mean
    assert plain >= 19 and 11 <= steps["p = 1"] <= 16


@pytest.mark.slow
@pytest.mark.parametrize("choosing", [0, 1])
def test_a_small_run_is_whole_and_paired(tmp_path, monkeypatch, choosing):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    plan = Plan({"countdown": Size(3, 2, 1e-4, 1, 1)}, ("p = 0", "p = 1"), 2, choosing, 0, 2, not choosing, 4)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    findings = with_holm(evidence.findings)
    assert CLAIM.decide(findings).word in ("partly", "not reproduced", "not testable here")
    area = [pick(findings, m, setting="area")[0] for m in plan.methods]
    assert all(f.n == 2 and 0 <= f.mean <= 1 for f in area)
    first = evidence.tables["training_curves"].filter(statistic="accuracy", step=0)["mean"]
    assert first[0] == first[1]  # the same model, prompts and draws before the first update
    assert pick(findings, "p = 0", setting="rate")[0].mean > 0
    assert 0 <= pick(findings, "majority answer")[0].mean < 1 and pick(findings, "before training")
    for name, draw in CLAIM.figures.items():
        if len(evidence.tables[name]):
            assert draw(evidence.tables[name]).axes
    assert bool(len(evidence.tables["training_rates"])) == bool(choosing)


def test_the_trainer_is_given_what_the_name_of_a_method_says():
    from grpo_prm.train.config import make_config

    fields = ("power", "weights", "match_scale", "match_norm")
    configs = {method.name: make_config({**method.settings, "task": "chain"}) for method in BY_NAME.values()}
    assert {name: tuple(getattr(config, f) for f in fields) for name, config in configs.items()} == {
        "p = 0": (0.0, "process-set", False, False),
        "p = 0.5": (0.5, "process-set", False, False),
        "p = 1": (1.0, "process-set", False, False),
        "parent": (1.0, "parent", False, False),
        "scale-matched": (1.0, "process-set", True, False),
        "norm-matched": (1.0, "process-set", False, True),
        "position": (1.0, "position", False, False),
    }
