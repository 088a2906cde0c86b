"""The overlap claim: planted growth and boilerplate get their words; a log and small runs are whole."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

import grpo_prm
from grpo_prm.reproduce import training_plan
from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.overlap import CLAIM, Plan
from grpo_prm.reproduce.overlap_measures import BEYOND, GROWTH, of_log, of_runs
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.training_plan import Size


def record(first, last, cross, seed, *, flat=0.0, steps=9, groups=30):
    """A log whose intermediate proportion goes from first to last; a share of its trees is flat."""
    rng = np.random.default_rng(seed)
    step = np.repeat(np.arange(steps), groups)
    level = first + (last - first) * step / (steps - 1) + 0.02 * rng.normal(size=len(step))
    made = {
        "run": "a run",
        "step": step,
        "k": 8,
        "prompt_key": [str(n) for n in range(len(step))],
        "problem": pl.Series([None] * len(step), dtype=pl.String),
        "tokens": 100,
        "path_depth": 10 * level,
        "non_trivial": rng.random(len(step)) >= flat,
        "scale_1": 50.0,
        "norm_0": 4.0,
        "norm_1": 1.0,
        "dot_1": 1.0,
        "intermediate_proportion": level,
    }
    pseudo = {"step": step, "intermediate_proportion": cross + 0.02 * rng.normal(size=len(step)), "non_trivial": True}
    return pl.concat([pl.DataFrame(made), pl.DataFrame(pseudo)], how="diagonal_relaxed")


def verdict(**tasks):
    return CLAIM.decide(with_holm([f for name, records in tasks.items() for f in of_runs(name, records)]))


GROWS = [record(0.3, 0.6, 0.1, n) for n in range(5)]
FALLS = [record(0.6, 0.3, 0.1, n) for n in range(5)]
BOILERPLATE = [record(0.3, 0.6, 0.45, n) for n in range(5)]
FLAT = [record(0.3, 0.6, 0.1, n, flat=0.2) for n in range(5)]


def test_words():
    assert verdict(one=GROWS, two=GROWS).word == "reproduced"
    mixed = verdict(one=GROWS, two=FALLS)
    assert mixed.word == "partly" and mixed.parts == {"one": "reproduced", "two": "partly"}
    assert "two: 100.0 % of the trees non-trivial, 45.0 % of the tokens intermediate, in training falls: -" in mixed.why
    assert verdict(one=FALLS, two=FALLS).word == "not reproduced"
    assert verdict(one=GROWS, two=BOILERPLATE).word == "not reproduced"
    assert verdict(one=GROWS, two=FLAT).word == "not reproduced"


def test_a_log_by_its_prompts():
    found = of_log("a log", record(0.3, 0.6, 0.1, 0, steps=9), 0)
    growth, beyond = (pick(found, what)[0] for what in (GROWTH, BEYOND))
    assert growth.low < 0.225 < growth.high and growth.above
    assert beyond.low < 0.35 < beyond.high and beyond.n == 270
    assert np.isclose(pick(found, "update scale")[0].mean, 0.5)
    assert np.isclose(pick(found, "update cosine")[0].mean, 0.5)
    assert CLAIM.decide(found).parts == {"a log": "reproduced"}


def test_a_prompt_of_another_run_is_another_cluster():
    """Two runs of the same 12 prompts: 24 clusters, so there is an interval; of one run there are too few."""
    log = record(0.3, 0.6, 0.1, 0, groups=12).with_columns(prompt_key=pl.col("step").cum_count().over("step").cast(str))
    log = log.with_columns(prompt_key=pl.when(pl.col("k").is_not_null()).then("prompt_key"))
    other = log.with_columns(run=pl.when(pl.col("k").is_not_null()).then(pl.lit("another run")))
    one, both = (pick(of_log("a log", table, 0), GROWTH)[0] for table in (log, pl.concat([log, other])))
    assert (one.n, one.low, one.note) == (12, None, "few prompts")
    assert both.n == 24 and both.low < one.mean < both.high


def test_a_log_of_one_step_has_no_course():
    found = of_log("a log", record(0.3, 0.3, 0.1, 0, steps=2), 0)
    assert all(f.mean is None or np.isfinite(f.mean) for f in found)
    decided = CLAIM.decide(found)
    assert decided.parts == {"a log": "not testable here"} and "no course" in decided.why


def test_few_prompts_give_no_interval():
    found = of_log("a log", record(0.3, 0.6, 0.1, 0, groups=2), 0)
    assert pick(found, GROWTH)[0].low is None and pick(found, GROWTH)[0].note == "few prompts"
    assert CLAIM.decide(found).parts == {"a log": "not testable here"}


def test_a_log_does_not_change_the_word_of_the_claim():
    ours = with_holm([f for name in ("one", "two") for f in of_runs(name, GROWS)])
    for log in (FALLS[0], BOILERPLATE[0], record(0.3, 0.3, 0.1, 0, steps=2)):
        assert CLAIM.decide(ours + of_log("a log", log, 0)).word == "reproduced"


def test_one_run_says_nothing_sure():
    assert verdict(one=GROWS[:1], two=GROWS[:1]).word == "not testable here"


@pytest.mark.slow
@pytest.mark.parametrize("logs", [(), ("examples/chain.jsonl",)])
def test_a_small_run_is_whole(tmp_path, monkeypatch, logs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runs = training_plan.Plan({"countdown": Size(3, 4, 1e-4, 1, 1)}, (), 2, 0, 0, 2, True, 4)
    evidence = CLAIM.run(Plan(runs, 2, logs), 0, at_once(tmp_path))
    assert CLAIM.figures["overlap_growth"](evidence.tables["overlap_growth"]).axes
    assert {f.part for f in evidence.findings} == {"countdown", *logs}
    if logs:
        summary = grpo_prm.analyze(logs[0]).summary
        mean = pick(evidence.findings, "intermediate", part=logs[0])[0].mean
        assert np.isclose(mean, summary["overlap"]["intermediate_proportion"]["mean"])
        cross = pick(evidence.findings, "cross-prompt", part=logs[0])[0].mean
        assert np.isclose(cross, summary["baseline"]["intermediate_proportion"]["mean"])
        scale = pick(evidence.findings, "update scale", part=logs[0])[0].mean
        assert np.isclose(scale, summary["defects"]["update_scale"]["1"]["mean"])
        cosine = pick(evidence.findings, "update cosine", part=logs[0])[0].mean
        assert np.isclose(cosine, summary["defects"]["update_cosine"]["1"]["mean"])
