"""The two claims about overlap: planted growth and boilerplate get their words; a log and small runs are whole."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from reproduce.at_once import at_once

import grpo_prm
from grpo_prm.reproduce import overlap, overlap_growth, training_plan
from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.overlap_measures import (
    BEYOND,
    GROWTH,
    GROWTHS,
    growth_of_log,
    growth_of_runs,
    shape_of_log,
    shape_of_runs,
    sorted_curves,
)
from grpo_prm.reproduce.overlap_runs import PLANS, Plan
from grpo_prm.reproduce.paired import with_holm
from grpo_prm.reproduce.training_plan import Size


def record(first, last, cross, seed, *, flat=0.0, steps=9, groups=30, deepens=10.0):
    """A log whose intermediate proportion goes from first to last, and path depth so many times as far."""
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
        "path_depth": 3 + deepens * (level - first),
        "non_trivial": rng.random(len(step)) >= flat,
        "scale_1": 50.0,
        "norm_0": 4.0,
        "norm_1": 1.0,
        "dot_1": 1.0,
        "intermediate_proportion": level,
    }
    pseudo = {"step": step, "intermediate_proportion": cross + 0.02 * rng.normal(size=len(step)), "non_trivial": True}
    return pl.concat([pl.DataFrame(made), pl.DataFrame(pseudo)], how="diagonal_relaxed")


SHAPE, GROWN = overlap.CLAIM, overlap_growth.CLAIM


def shape(**tasks):
    return SHAPE.decide(with_holm([f for name, records in tasks.items() for f in shape_of_runs(name, records)]))


def growth(**tasks):
    return GROWN.decide(with_holm([f for name, records in tasks.items() for f in growth_of_runs(name, records)]))


GROWS = [record(0.3, 0.6, 0.1, n) for n in range(5)]
FALLS = [record(0.6, 0.3, 0.1, n) for n in range(5)]
STAYS = [record(0.4, 0.4, 0.1, n, deepens=10.0) for n in range(5)]
WIDENS = [record(0.3, 0.6, 0.1, n, deepens=0.0) for n in range(5)]  # only the proportion grows
FLATTENS = [record(0.3, 0.6, 0.1, n, deepens=-10.0) for n in range(5)]  # the proportion grows, path depth falls
BOILERPLATE = [record(0.3, 0.6, 0.45, n) for n in range(5)]
FLAT = [record(0.3, 0.6, 0.1, n, flat=0.2) for n in range(5)]
NOTHING = [record(0.3, 0.6, 0.6, n, flat=0.2) for n in range(5)]


def test_words_of_the_shape():
    assert shape(one=GROWS, two=FALLS).word == "reproduced"  # growth is another claim
    assert shape(one=BOILERPLATE, two=BOILERPLATE).word == shape(one=FLAT).word == "partly"
    assert shape(one=NOTHING, two=NOTHING).word == "not reproduced"
    mixed = shape(one=GROWS, two=NOTHING)
    assert mixed.word == "partly" and mixed.parts == {"one": "reproduced", "two": "not reproduced"}
    assert (
        "one: 100.0 % of the trees non-trivial, 45.0 % of the tokens intermediate, 100.0 and 9.9 % in groups"
        in mixed.why
    )
    assert shape(one=GROWS[:1]).word == shape(one=GROWS, two=GROWS[:1]).word == "not testable here"


def test_words_of_growth():
    assert growth(one=GROWS, two=GROWS).word == "reproduced"
    assert growth(one=WIDENS).word == "partly"
    for records in (FALLS, FLATTENS, STAYS):
        assert growth(one=records, two=records).word == "not reproduced"
    mixed = growth(one=GROWS, two=FALLS)
    assert mixed.word == "partly" and mixed.parts == {"one": "reproduced", "two": "not reproduced"}
    assert "two: intermediate tokens -22.6 [-23.0, -22.1] points, path depth -2.26 [-2.30, -2.21]" in mixed.why
    assert growth(one=GROWS[:1]).word == growth(one=GROWS, two=GROWS[:1]).word == "not testable here"


def test_holm_adjusts_for_what_each_rule_reads_and_nothing_else():
    assert {f.what for f in shape_of_runs("one", GROWS) if f.p is not None} == {BEYOND}
    assert {f.what for f in growth_of_runs("one", GROWS) if f.p is not None} == {what for what, *_ in GROWTHS}


def test_thirds_of_training():
    """9 steps: the first third is steps 0 to 2."""
    found = growth_of_runs("one", GROWS)
    for what, column in (("first third", "intermediate_proportion"), ("first third, path depth", "path_depth")):
        means = [r.filter(pl.col("k").is_not_null(), pl.col("step") < 3)[column].mean() for r in GROWS]
        assert np.isclose(pick(found, what)[0].mean, np.mean(means))
    cross = [r.filter(pl.col("k").is_null(), pl.col("step") >= 6)["intermediate_proportion"].mean() for r in GROWS]
    assert np.isclose(pick(found, "last third, cross-prompt")[0].mean, np.mean(cross))


def test_a_log_by_its_prompts():
    log = record(0.3, 0.6, 0.1, 0, steps=9)
    grown = growth_of_log("a log", log, 0)
    more, deeper = (pick(grown, what)[0] for what, *_ in GROWTHS)
    assert more.low < 0.225 < more.high and more.above
    assert deeper.low < 2.25 < deeper.high and deeper.above
    shaped = shape_of_log("a log", log, 0)
    beyond = pick(shaped, BEYOND)[0]
    assert beyond.low < 0.35 < beyond.high and beyond.n == 270
    assert np.isclose(pick(shaped, "update scale")[0].mean, 0.5)
    assert np.isclose(pick(shaped, "update cosine")[0].mean, 0.5)
    assert SHAPE.decide(shaped).parts == GROWN.decide(grown).parts == {"a log": "reproduced"}


def test_a_prompt_of_another_run_is_another_cluster():
    """Two runs of the same 12 prompts: 24 clusters, so there is an interval; of one run there are too few."""
    log = record(0.3, 0.6, 0.1, 0, groups=12).with_columns(prompt_key=pl.col("step").cum_count().over("step").cast(str))
    log = log.with_columns(prompt_key=pl.when(pl.col("k").is_not_null()).then("prompt_key"))
    other = log.with_columns(run=pl.when(pl.col("k").is_not_null()).then(pl.lit("another run")))
    one, both = (pick(growth_of_log("a log", table, 0), GROWTH)[0] for table in (log, pl.concat([log, other])))
    assert (one.n, one.low, one.note) == (12, None, "few prompts")
    assert both.n == 24 and both.low < one.mean < both.high


def test_a_log_of_one_step_has_no_course():
    found = growth_of_log("a log", record(0.3, 0.3, 0.1, 0, steps=2), 0)
    assert all(f.mean is None or np.isfinite(f.mean) for f in found)
    decided = GROWN.decide(found)
    assert decided.parts == {"a log": "not testable here"} and "no course" in decided.why
    assert decided.word == "not testable here"  # no task of ours was run


def test_few_prompts_give_no_interval():
    found = growth_of_log("a log", record(0.3, 0.6, 0.1, 0, groups=2), 0)
    assert pick(found, GROWTH)[0].low is None and pick(found, GROWTH)[0].note == "few prompts"
    assert GROWN.decide(found).parts == {"a log": "not testable here"}


def test_a_log_does_not_change_the_word_of_the_claim():
    grown = with_holm([f for name in ("one", "two") for f in growth_of_runs(name, GROWS)])
    shaped = with_holm([f for name in ("one", "two") for f in shape_of_runs(name, GROWS)])
    for log in (FALLS[0], BOILERPLATE[0], NOTHING[0], record(0.3, 0.3, 0.1, 0, steps=2)):
        assert GROWN.decide(grown + growth_of_log("a log", log, 0)).word == "reproduced"
        assert SHAPE.decide(shaped + shape_of_log("a log", log, 0)).word == "reproduced"


def test_sorted_values_rise_where_overlap_falls():
    table = sorted_curves(FALLS)
    groups = pl.concat(FALLS).filter(pl.col("k").is_not_null())
    for column in ("path_depth", "intermediate_proportion"):
        course, ordered = (table.filter(statistic=column, method=method) for method in ("in time", "sorted"))
        by_step = [groups.filter(step=step)[column].mean() for step in range(9)]
        np.testing.assert_allclose(course["mean"].to_numpy(), by_step)
        assert course["mean"].is_sorted(descending=True)
        assert (course["step"].to_list()[0], course["step"].to_list()[-1]) == (0, 1)
        values = sorted(groups[column].to_list())
        assert ordered["mean"].is_sorted() and len(ordered) == 256
        for share, value in ordered.select("step", "mean").iter_rows():
            assert value == values[round(share * (len(values) - 1))]
        assert (ordered["mean"][0], ordered["mean"][-1]) == (values[0], values[-1])


def test_both_claims_read_the_same_runs(tmp_path, monkeypatch):
    """What one has run the other finds: the jobs have the same names and arguments."""
    assert SHAPE.plans is GROWN.plans is PLANS
    asked = {}
    for claim in (SHAPE, GROWN):

        def note(jobs, name=claim.name):
            asked.setdefault(name, []).extend((job.name, job.arguments) for job in jobs)
            return [GROWS[0]] * len(jobs)

        claim.run(PLANS["quick"], 0, note)
    assert asked["overlap"] == asked["overlap-growth"] and len(asked["overlap"]) == 12


@pytest.mark.slow
@pytest.mark.parametrize("logs", [(), ("examples/chain.jsonl",)])
def test_a_small_run_is_whole(tmp_path, monkeypatch, logs):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runs = training_plan.Plan({"countdown": Size(3, 4, 1e-4, 1, 1)}, (), 2, 0, 0, 2, True, 4)
    for claim in (SHAPE, GROWN):
        evidence = claim.run(Plan(runs, 2, logs), 0, at_once(tmp_path / claim.name))
        assert set(claim.figures) == set(evidence.tables)
        for name, draw in claim.figures.items():
            assert draw(evidence.tables[name]).axes
        assert {f.part for f in evidence.findings} == {"countdown", *logs}
        assert claim.decide(with_holm(evidence.findings)).word
        if logs and claim is SHAPE:
            summary = grpo_prm.analyze(logs[0]).summary
            mean = pick(evidence.findings, "intermediate", part=logs[0])[0].mean
            assert np.isclose(mean, summary["overlap"]["intermediate_proportion"]["mean"])
            cross = pick(evidence.findings, "cross-prompt", part=logs[0])[0].mean
            assert np.isclose(cross, summary["baseline"]["intermediate_proportion"]["mean"])
            scale = pick(evidence.findings, "update scale", part=logs[0])[0].mean
            assert np.isclose(scale, summary["defects"]["update_scale"]["1"]["mean"])
            cosine = pick(evidence.findings, "update cosine", part=logs[0])[0].mean
            assert np.isclose(cosine, summary["defects"]["update_cosine"]["1"]["mean"])
