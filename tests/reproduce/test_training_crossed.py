"""Every seed at every rate: what is run, and that no seed chooses the rate at which it is reported."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import numpy as np
import polars as pl
import pytest

from grpo_prm.errors import UsageError
from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.run import Options, reproduce
from grpo_prm.reproduce.training import CLAIM
from grpo_prm.reproduce.training_crossed import crossed, crossed_jobs
from grpo_prm.reproduce.training_plan import Plan, Size, grid
from grpo_prm.reproduce.training_runs import CURVES

RATES = grid(1e-3)
METHODS = ("p = 0", "p = 1", "position")


def plan(seeds=5):
    return Plan({"one": Size(2, 2, 1e-3, 1, 1)}, METHODS, seeds, 0, 0, 0, False, crossed=True)


def record(end):
    """A run of two steps that ends at an accuracy."""
    rows = [(step, name, end / 2) for step in range(2) for name in CURVES]
    rows += [(2, f"final_{name}", end) for name in ("accuracy", "greedy", "passed")]
    return pl.DataFrame(rows, schema=["step", "statistic", "value"], orient="row")


def at(ends):
    """The runner of jobs that gives runs of these ends, by method, rate and seed; warm starts are right by half."""

    def do(jobs):
        found = []
        for job in jobs:
            settings = job.arguments["settings"]
            if "method" not in job.arguments:
                found.append(pl.DataFrame({"accuracy": [0.5], "greedy": [0.5], "passed": [0.5]}))
            else:
                found.append(record(ends[job.arguments["method"], settings["learning_rate"], settings["seed"]]))
        return found

    return do


def invented(seeds, seed=0):
    """Ends that differ by far more than the plateau, though no accuracies."""
    rng = np.random.default_rng(seed)
    return {(m, rate, n): float(rng.normal(0, 100)) for m in METHODS for rate in RATES for n in range(seeds)}


@pytest.mark.parametrize("seed", range(5))
def test_a_seed_is_reported_at_the_rate_of_the_others(seed):
    ends = invented(5, seed)
    trained = crossed(plan(), 0, at(ends))
    for method in METHODS:
        choice, records = trained["one", method]
        found = [float(r.filter(statistic="final_accuracy")["value"][0]) for r in records]
        for n in range(5):
            scores = [np.mean([ends[method, rate, other] for other in range(5) if other != n]) for rate in RATES]
            near = [place for place, score in enumerate(scores) if score >= max(scores) - 0.005]
            best = RATES[near[0] if len(near) == 1 else 1]  # neighbours that are as good hold the middle one of three
            assert found[n] == pytest.approx(ends[method, best, n]), (method, n)
        means = [np.mean([ends[method, rate, n] for n in range(5)]) for rate in RATES]
        assert choice.scores == pytest.approx(dict(zip(RATES, means, strict=True)))


def test_the_edge_decides_nothing_and_the_middle_does():
    for best, note in ((RATES[2], "edge"), (RATES[1], "")):
        gain = {n: 0.1 + 0.001 * n for n in range(5)}
        ends = {(m, rate, n): 0.5 + 0.2 * (rate == best) + gain[n] * (m == "p = 1") for m, rate, n in invented(5)}
        findings = with_holm(CLAIM.run(plan(), 0, at(ends)).findings)
        assert pick(findings, "p = 1", setting="rate")[0].note == note
        assert CLAIM.decide(findings).word == ("not testable here" if note else "partly")


def test_the_runs_of_the_pretrained_model():
    full = CLAIM.plans["full"]
    jobs = crossed_jobs(full, 0)
    assert len(jobs) == 75 == len({job.name for job in jobs.values()})
    assert {job.name for job in jobs.values()} == {job.name for job in CLAIM.runs(full, 0)}
    assert not CLAIM.runs(CLAIM.plans["standard"], 0)
    first = list(jobs)[:5]
    assert {run.method for run in first} == set(full.methods)
    (size,) = full.sizes.values()
    assert {(run.rate, run.seed) for run in first} == {(size.rate, 0)}
    for n in range(5):  # one seed's runs differ in method and rate alone
        own = [job.arguments["settings"] for run, job in jobs.items() if run.seed == n]
        rates = {settings.pop("learning_rate") for settings in own}
        assert rates == set(grid(size.rate)) and all(settings == own[0] for settings in own)
    said = " ".join(CLAIM.announce(full))
    assert f"{CLAIM.cost(full) / 3600:,.0f} hours of one core: 75 runs" in said and "--resume" in said
    assert {"peft", "gguf", "reasoning_gym"} <= set(CLAIM.needs(full)) and not CLAIM.announce(CLAIM.plans["standard"])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("reasoning_gym") is None, reason="reasoning-gym is missing")
def test_the_trainer_takes_their_settings():
    from grpo_prm.reproduce.methods import BY_NAME
    from grpo_prm.train.config import make_config

    for run, job in list(crossed_jobs(CLAIM.plans["full"], 0).items())[:5]:
        config = make_config({**job.arguments["settings"], **BY_NAME[run.method].settings})
        assert (config.model, config.lora, config.dtype, config.max_new_tokens) == ("smollm2", 16, "bfloat16", 64)
        assert (config.prompts, config.group_size, config.threads, config.max_grad_norm) == (4, 8, 1, None)


def test_what_the_model_needs_is_named_before_anything_runs(monkeypatch, tmp_path):
    for name in ("reasoning_gym", "gguf"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"training needs gguf and reasoning_gym\. Install them: ") as error:
        reproduce(Options(("training",), budget="full", out=tmp_path / "new"), lambda *_: None, lambda _: None)
    assert "pip install 'grpo-prm[reproduce,models,tasks]'" in str(error.value)
    assert not (tmp_path / "new").exists()
