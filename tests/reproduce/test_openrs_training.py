"""Training on OpenRS: planted outcomes get their words, and a tiny model goes the whole way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

from grpo_prm import analyze
from grpo_prm.errors import InputError
from grpo_prm.reproduce import openrs_training
from grpo_prm.reproduce.claims import Finding, pick
from grpo_prm.reproduce.methods import BY_NAME, CONTROLS
from grpo_prm.reproduce.methods import NAMES as METHODS
from grpo_prm.reproduce.openrs_runs import _split, _tiny
from grpo_prm.reproduce.openrs_training import CLAIM, WHOLE, Plan, compare
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.train.config import make_config


@pytest.fixture(autouse=True)
def one_thread():
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


def test_the_cost_is_that_of_the_runs():
    plan = CLAIM.plans["standard"]._replace(model="m", data="d", eval_data=("b",))
    (cost, *_) = CLAIM.announce(plan)
    # 1,000 steps of 4 prompts with 6 completions; 125 validation problems before the first and after each 25
    tokens = 7 * 2 * 3 * 1_200 * (1_000 * 4 * 6 + 41 * 125)
    assert f"42 runs (7 methods, 2 β, 3 seeds) of 1,000 steps: {tokens / 1e9:.1f} billion new tokens" in cost
    assert f"{tokens / 1_000 / 3_600:,.0f} GPU-hours at 1,000 tokens a second" in cost
    assert np.isclose(CLAIM.cost(plan), tokens / 1_000)
    assert CLAIM.announce(CLAIM.plans["standard"]) == []
    inside = CLAIM.announce(plan._replace(backend="trl"))
    assert any(line.startswith("norm-matched is trained by our own trainer") for line in inside)
    assert not any("norm-matched" in line for line in CLAIM.announce(plan._replace(backend="trl", methods=("p = 1",))))


def test_what_each_method_is_trained_by():
    plan = CLAIM.plans["standard"]._replace(model="m", data="d", eval_data=("b",), backend="trl", vllm=True)
    jobs = jobs_of(plan)
    assert len(jobs) == len({job.name for job in jobs}) == 42
    for job in jobs:
        settings = job.arguments["settings"]
        inside = job.arguments["method"] != "norm-matched"
        assert (settings["backend"] == "trl") == settings["vllm"] == job.alone == inside
        own = {"task": None, "data": "d", "eval_data": "e"}
        config = make_config({**settings, **BY_NAME[job.arguments["method"]].settings, **own})
        if inside:
            args = trl_args(config)
            assert (args.temperature, args.generation_kwargs) == (1.0, {"temperature": 0.75})
            assert not (args.vllm_importance_sampling_correction or args.use_bias_correction_kl or args.max_grad_norm)
            assert (args.loss_type, args.lr_scheduler_type, args.optim) == ("grpo", "constant", "adamw_torch")
            assert (args.learning_rate, args.weight_decay, args.num_generations) == (1e-6, 0.0, 6)


def jobs_of(plan):
    """The jobs that a plan asks for; none is run."""
    jobs = []

    def take(given):
        jobs.extend(given)
        raise InterruptedError

    with pytest.raises(InterruptedError):
        CLAIM.run(plan, 0, take)
    return jobs


def trl_args(config):
    """TRL's settings, but for the precision, which a CPU has not."""
    pytest.importorskip("trl")
    from grpo_prm.integrations.trl_settings import trl_settings

    return trl_settings(replace(config, dtype="float32"), 1, 300)


@pytest.mark.slow
def test_the_rehearsal_inside_trl_is_killed_and_goes_on(tmp_path):
    """Two methods, both β; the first run is killed after its first checkpoint, and all go the whole way."""
    pytest.importorskip("trl")
    plan = Plan(None, None, (), 1, ("p = 0", "p = 1"), (0.0, 0.04), 6, backend="trl")
    job = jobs_of(plan)[0]
    folder = tmp_path / f"{job.name}.run"
    checkpoint = folder / "checkpoints" / "step_000002"
    arguments = {**job.arguments, "folder": str(folder), "settings": job.arguments["settings"] | {"save_every": 2}}
    code = (
        "import json, sys; from pathlib import Path; from grpo_prm.reproduce.openrs_runs import openrs_record\n"
        "a = json.loads(sys.argv[1]); openrs_record(**{**a, 'folder': Path(a['folder'])})"
    )
    command = [sys.executable, "-c", code, json.dumps(arguments)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 120
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert checkpoint.exists() and not (folder / "model").exists()
    first = folder / "rollouts" / "step_000001-0.rank0-of-1.parquet"
    written = first.stat().st_mtime_ns
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    assert first.stat().st_mtime_ns == written  # it was not made again
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "held_out" not in line] == list(range(6))
    curve = evidence.tables["openrs_validation"]
    assert curve["step"].unique().sort().to_list() == [0, 5, 6]
    assert curve["panel"].n_unique() == curve["method"].n_unique() == 2
    assert 0 < pick(evidence.findings, "p = 1", setting="benchmarks")[0].mean < 1
    assert any("norm-matched" in note for note in evidence.notes)
    assert analyze(folder).groups["step"].n_unique() == 6


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
    plan = Plan(None, None, (), 2, ("p = 0", "p = 1"), (0.04,), 5)
    evidence = CLAIM.run(plan, 0, at_once(tmp_path))
    verdict = CLAIM.decide(with_holm(evidence.findings))
    assert verdict.word == "not testable here" and "tiny model" in verdict.why
    curve = evidence.tables["openrs_validation"]
    assert curve["step"].unique().sort().to_list() == [0, 5]
    assert evidence.timings["tokens_per_second"] > 0
    assert 0 < pick(evidence.findings, "p = 0", setting="benchmarks")[0].mean < 1
    assert CLAIM.figures["openrs_validation"](curve).axes
