"""Training on OpenRS: planted outcomes get their words, and a tiny model goes the whole way."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

from grpo_prm.errors import InputError
from grpo_prm.reproduce import openrs_training
from grpo_prm.reproduce.claims import Finding, pick
from grpo_prm.reproduce.methods import CONTROLS
from grpo_prm.reproduce.methods import NAMES as METHODS
from grpo_prm.reproduce.openrs_runs import _split, _tiny
from grpo_prm.reproduce.openrs_training import CLAIM, WHOLE, Plan, compare
from grpo_prm.reproduce.paired import with_holm


def record(level, rng):
    rows = [(step, "accuracy", level * step / 100 + 0.002 * rng.normal()) for step in range(0, 101, 25)]
    rows += [(100, f"benchmark/{name}", level + 0.002 * rng.normal()) for name in ("AIME24", "MATH-500")]
    return pl.DataFrame(rows, schema=["step", "statistic", "value"], orient="row")


def planted(gains, seeds=10, whole=1.0):
    rng = np.random.default_rng(2)
    found = [Finding("", "", WHOLE, whole, note="" if whole else "a tiny model")]
    for beta in ("β = 0", "β = 0.04"):
        of = {m: [record(0.5 + gains.get(m, 0), rng) for _ in range(seeds)] for m in METHODS}
        found += compare(beta, of)
    return with_holm(found)


def test_words():
    assert CLAIM.decide(planted({"p = 1": 0.2})).word == "reproduced"
    assert CLAIM.decide(planted({"p = 1": 0.2}, seeds=3)).word == "partly"
    assert CLAIM.decide(planted({"p = 1": 0.2, CONTROLS[0]: 0.2})).word == "partly"
    assert CLAIM.decide(planted({})).word == CLAIM.decide(planted({"p = 1": -0.2})).word == "not reproduced"
    assert CLAIM.decide(planted({"p = 1": 0.2}, whole=0.0)).word == "not testable here"


def test_the_best_validation_and_its_step():
    found = planted({})
    assert np.isclose(pick(found, "p = 0", setting="validation")[0].mean, 0.5, atol=0.01)
    assert pick(found, "p = 0", setting="step of the best validation")[0].mean == 100


def test_validation_problems_are_not_trained_on(tmp_path):
    rows = [{"problem": f"What is {n}?", "answer": n, "level": "Easy"} for n in range(30)]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = [[json.loads(line) for line in path.read_text().splitlines()] for path in _split(str(data), 10, tmp_path)]
    assert [len(part) for part in parts] == [20, 10]
    assert sorted(row["answer"] for part in parts for row in part) == list(range(30))
    assert parts[0][0].keys() == rows[0].keys()
    with pytest.raises(InputError, match="30 problems, and 30 are held out"):
        _split(str(data), 30, tmp_path)


def test_a_model_of_ones_own_gets_the_whole_experiment():
    given = {"model": "m", "data": "d", "eval_data": ("b",)}
    for budget, steps in (("quick", 25), ("standard", 1_000), ("full", 1_000)):
        plan = CLAIM.plans[budget]._replace(**given)
        assert (plan.steps, plan.held_out) == (steps, 125)
        assert plan.lacks == ("25 of 1,000 steps, 2 of 3 seeds" if budget == "quick" else "")
    assert CLAIM.plans["full"]._replace(seeds=2, **given).lacks == "2 of 3 seeds"
    assert "tiny" in CLAIM.plans["full"].lacks


@pytest.mark.slow
def test_the_same_code_runs_a_model_and_files_that_are_given(tmp_path, monkeypatch):
    model, data, benchmarks = _tiny(tmp_path / "made", 0)
    monkeypatch.setattr(openrs_training, "PAPER", openrs_training.TINY)
    plan = Plan(model, data, tuple(benchmarks), 1, ("p = 0", "p = 1"), (0.0,), 1, whole_steps=2)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    verdict = CLAIM.decide(with_holm(evidence.findings))
    assert verdict.why.startswith("2 of 1,000 steps, 1 of 3 seeds")
    assert "2 of" not in plan._replace(seeds=3, whole_steps=1_000).lacks
    assert model in evidence.notes[0] and data in evidence.notes[0]


@pytest.mark.slow
def test_a_tiny_model_goes_the_whole_way(tmp_path):
    plan = Plan(None, None, (), 1, ("p = 0", "p = 1"), (0.04,), 5)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    verdict = CLAIM.decide(with_holm(evidence.findings))
    assert verdict.word == "not testable here" and "tiny model" in verdict.why
    curve = evidence.tables["openrs_validation"]
    assert curve["step"].unique().sort().to_list() == [0, 5]
    assert evidence.timings["tokens_per_second"] > 0
    assert 0 < pick(evidence.findings, "p = 0", setting="benchmarks")[0].mean < 1
    assert CLAIM.figures["openrs_validation"](curve).axes
