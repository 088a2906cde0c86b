"""Figures of the claim about true values, against loops over steps."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from grpo_prm.reproduce.claims import pick
from grpo_prm.reproduce.prm_quality_measures import (
    by_position,
    by_size_and_depth,
    calibration,
    correlation,
    measured,
    moments,
    of_cell,
    predictions,
    ratio,
    signs,
)


def made_steps(seed=0, prompts=30, each=12, slope=0.6):
    """Steps whose true effect is a share of what the hidden PRM says, plus noise."""
    rng = np.random.default_rng(seed)
    number = prompts * each
    mean, std = np.repeat(rng.uniform(0.2, 0.8, prompts), each), np.repeat(rng.uniform(0.3, 0.5, prompts), each)
    reward = mean + 0.3 * rng.normal(size=number)
    prompt_value = np.repeat(rng.uniform(0.2, 0.8, prompts), each)
    return pl.DataFrame(
        {
            "prompt": np.repeat(np.arange(prompts), each),
            "size": rng.integers(2, 12, number),
            "depth": rng.integers(1, 6, number),
            "start": rng.integers(0, 5, number),
            "tokens": rng.integers(0, 9, number).astype(float),
            "reward": reward,
            "mean": mean,
            "advantage": (reward - mean) / std,
            "noise": rng.uniform(0, 0.4, number),
            "of_parent": mean + 0.2 * rng.normal(size=number),
            "learnt_same": rng.uniform(0, 1, number),
            "learnt_others": rng.uniform(0, 1, number),
            "value": prompt_value + slope * (reward - mean) + 0.1 * rng.normal(size=number),
            "value_before": rng.uniform(0.2, 0.8, number),
            "value_prompt": prompt_value,
        }
    )


def test_a_cell_is_what_loops_over_steps_give():
    steps = made_steps()
    found = of_cell("a policy", "k = 8", steps, 0)
    rows = [{**r, "gap": r["reward"] - r["mean"], "effect": r["value"] - r["value_prompt"]} for r in steps.to_dicts()]
    expected = {
        "reliability": sum(r["tokens"] * (r["advantage"] ** 2 - r["noise"]) for r in rows)
        / sum(r["tokens"] * r["advantage"] ** 2 for r in rows),
        "true slope": sum(r["tokens"] * r["gap"] * r["effect"] for r in rows)
        / sum(r["tokens"] * r["gap"] ** 2 for r in rows),
        "true slope in units of A": sum(r["tokens"] * r["advantage"] ** 2 * r["effect"] / r["gap"] for r in rows)
        / sum(r["tokens"] * r["advantage"] ** 2 for r in rows),
        "correlation of R - m and V - V0": np.corrcoef(
            [r["gap"] for r in rows], [r["effect"] for r in rows]
        )[0, 1],
        "correlation of R and V": np.corrcoef(steps["reward"], steps["value"])[0, 1],
        "correlation of the small PRM (same prompts) and V": np.corrcoef(steps["learnt_same"], steps["value"])[0, 1],
        "correlation of the small PRM (other prompts) and V": np.corrcoef(steps["learnt_others"], steps["value"])[0, 1],
        "squared error of R": np.mean([(r["reward"] - r["value"]) ** 2 for r in rows]),
        "squared error of the group mean": np.mean([(r["mean"] - r["value"]) ** 2 for r in rows]),
        "squared error of R of the parent": np.mean([(r["of_parent"] - r["value"]) ** 2 for r in rows]),
        "squared error of R shrunk by 2": np.mean(
            [((r["size"] * r["reward"] + 2 * r["mean"]) / (r["size"] + 2) - r["value"]) ** 2 for r in rows]
        ),
        "steps": len(rows),
    }  # fmt: skip
    for what, value in expected.items():
        assert pick(found, what)[0].mean == pytest.approx(value), what
    assert {(f.part, f.setting) for f in found} == {("a policy", "k = 8")}
    slope = pick(found, "true slope")[0]
    assert slope.low < slope.mean < slope.high and slope.n == 30 and 0.5 < slope.low < slope.high < 0.7


def test_signs_by_hand():
    steps = pl.DataFrame(
        {
            "reward": [0.9, 0.1, 0.9, 0.5, 0.9, 0.9],
            "mean": [0.5] * 6,
            "value": [0.8, 0.3, 0.3, 0.8, 0.59, 0.61],
            "value_prompt": [0.5] * 6,
            "of_parent": [0.5, 0.0, 0.95, 0.5, 0.5, 0.5],
            "value_before": [0.5, 0.5, 0.6, 0.8, 0.5, 0.5],
        }
    )
    right, clear = signs(steps)["sign of A"]
    # Right, right, wrong, without a sign, too small to ask for, right.
    assert right.tolist() == [1, 1, 0, 0, 0, 1] and clear.tolist() == [1, 1, 1, 1, 0, 1]
    right, clear = signs(steps)["sign of local A"]
    assert right.tolist() == [1, 0, 1, 0, 0, 1] and clear.tolist() == [1, 1, 1, 0, 0, 1]


def test_position_knows_the_other_prompts_alone():
    steps = made_steps(3, prompts=4, each=3)
    found = by_position(steps)
    rows = steps.to_dicts()
    for n, row in enumerate(rows):
        others = [r for r in rows if r["prompt"] != row["prompt"]]
        same = [r["reward"] for r in others if r["start"] == row["start"]] or [r["reward"] for r in others]
        assert found[n] == pytest.approx(np.mean(same))


def test_a_mean_shrunk_lies_between():
    said = predictions(made_steps())
    for c in (1, 2, 4):
        low, high = np.minimum(said["R"], said["the group mean"]), np.maximum(said["R"], said["the group mean"])
        assert ((said[f"R shrunk by {c}"] >= low) & (said[f"R shrunk by {c}"] <= high)).all()


def test_a_correlation_that_cannot_be_had():
    x = np.array([1.0, 1.0, 1.0])
    assert np.isnan(correlation(np.stack(moments(x, np.arange(3.0)), axis=1).sum(axis=0)))
    assert correlation(np.stack(moments(np.arange(3.0), np.arange(3.0)), axis=1).sum(axis=0)) == pytest.approx(1)


def test_a_correlation_of_sums_that_are_not_centred():
    """As those of a resample are not."""
    x, y = np.array([3.0, 4.0, 7.0, 5.0]), np.array([1.0, 5.0, 6.0, 2.0])
    sums = np.array([4, x.sum(), y.sum(), x @ x, y @ y, x @ y])
    assert correlation(sums) == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_few_prompts_have_no_interval_and_no_steps_no_figure():
    ones = np.ones(19)
    few = measured("", "", "", (ones, 2 * ones), np.arange(19), ratio, 0)
    assert (few.mean, few.low, few.n, few.note) == (0.5, None, 19, "few prompts")
    none = measured("", "", "", (ones[:0], ones[:0]), np.arange(0), ratio, 0)
    assert (none.mean, none.low, none.note) == (None, None, "no step")
    nothing = measured("", "", "", (0 * ones, 0 * ones), np.arange(19), ratio, 0)
    assert nothing.mean is None


def test_an_interval_is_over_prompts_not_over_steps():
    """Steps of one prompt that are all alike count as one."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=40)
    once = measured("", "", "", (values, np.ones(40)), np.arange(40), ratio, 0)
    often = measured("", "", "", (np.repeat(values, 9), np.ones(360)), np.repeat(np.arange(40), 9), ratio, 0)
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    assert often.high - often.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(40), rel=0.1)


def test_steps_by_size_and_depth_are_all_steps():
    steps = made_steps()
    found = by_size_and_depth("a policy", 16, steps, 0)
    third = pick(found, "correlation of R - m and V - V0", setting="k = 16, |λ| 4 to 7")[0]
    some = steps.filter((pl.col("size") >= 4) & (pl.col("size") <= 7))
    expected = np.corrcoef(some["reward"] - some["mean"], some["value"] - some["value_prompt"])[0, 1]
    assert third.mean == pytest.approx(expected)
    deep = pick(found, "sign of A", setting="k = 16, depth 4 and more")[0]
    right, clear = signs(steps.filter(pl.col("depth") >= 4))["sign of A"]
    assert deep.mean == pytest.approx(right.sum() / clear.sum()) and len(found) == 2 * 8


def test_calibration_by_bins():
    steps = made_steps(prompts=60)
    found = calibration(steps, 0)
    assert found["steps"].sum() == len(steps) and len(found) == 6
    first = steps.filter(pl.col("reward") < 0.1)
    assert found.row(0, named=True)["mean"] == pytest.approx(first["value"].mean())
    assert found.row(0, named=True)["reward"] == pytest.approx(first["reward"].mean())
    assert (found["low"] < found["mean"]).all() and (found["mean"] < found["high"]).all()
    assert len(calibration(made_steps(prompts=19), 0)) == 0  # few prompts say nothing
