"""Steps to reach a reward: the first step at which the running mean is there."""

from __future__ import annotations

import numpy as np
import pytest
from compare.invented import folder, log

from grpo_prm.compare.reach import steps_to_reach
from grpo_prm.compare.runs import open_runs


def runs(tmp_path, *logs):
    return open_runs([folder(tmp_path / f"{n}.prm", made) for n, made in enumerate(logs)]).runs


def ramp(steps, slow=1.0, **more):
    """Certain rewards: none before step 10 · slow, all from there on."""
    return log(steps=steps, success=lambda step, rng: float(step >= 10 * slow), **more)


def test_a_sure_jump_is_reached_where_it_is(tmp_path):
    found = runs(tmp_path, ramp(range(20), run="a", prompts=12), ramp(range(20), slow=1.5, run="b", prompts=12))
    level, window, reached = steps_to_reach(found, 0, 0.5)
    assert (level, window) == (0.5, 1)
    assert [(r.run, r.step, r.low, r.high, r.share) for r in reached] == [
        ("a", 10, 10, 10, 1.0),
        ("b", 15, 15, 15, 1.0),
    ]


def test_a_run_that_ends_before_has_not_reached_it(tmp_path):
    found = runs(tmp_path, ramp(range(20), run="a", prompts=12), ramp(range(9), run="b", prompts=12))
    (_, b) = steps_to_reach(found, 0, 0.5)[2]
    assert (b.step, b.low, b.high, b.share, b.last) == (None, None, None, 0.0, 8)


def test_without_a_level_it_is_nine_tenths_of_the_way_that_all_go(tmp_path):
    """Both start at 0; the peaks of the running means are 1, so the level is .9."""
    found = runs(tmp_path, ramp(range(20), run="a", prompts=12), ramp(range(30), slow=2, run="b", prompts=12))
    level, _, reached = steps_to_reach(found, 0)
    assert level == pytest.approx(0.9) and [r.step for r in reached] == [10, 20]


def test_the_level_lies_between_the_higher_start_and_the_lower_peak(tmp_path):
    a, b = ramp(range(20), run="a", prompts=12), ramp(range(20), run="b", prompts=12, rewards=(0.2, 0.6))
    level, _, reached = steps_to_reach(runs(tmp_path, a, b), 0)
    assert level == pytest.approx(0.2 + 0.9 * 0.4) and [r.step for r in reached] == [10, 10]


def test_to_be_at_the_level_is_to_reach_it_and_the_observed_curve_is_no_resample(tmp_path):
    made = [log(steps=range(20), run=n, prompts=4, seed=ord(n), rewards=(0.0, 0.1)) for n in "ab"]
    found = runs(tmp_path, *made)
    best = max(np.mean([r.reward for _, s, _, g in made[0] if s == step for r in g]) for step in range(20))
    a = steps_to_reach(found, 0, float(best))[2][0]
    assert a.step is not None and 0 < a.share < 1 and (2000 * a.share) % 1 == pytest.approx(0, abs=1e-9)
    assert steps_to_reach(found, 0, float(best) + 1e-6)[2][0].step is None


def test_the_running_mean_goes_over_a_twentieth_of_the_shortest_run(tmp_path):
    made = [
        log(steps=range(0, 120, 2), run="a", success=lambda step, rng: step / 120, prompts=3),
        log(steps=range(90), run="b", success=lambda step, rng: step / 90, prompts=3, seed=7),
    ]
    level, window, reached = steps_to_reach(runs(tmp_path, *made), 0, 0.6)
    assert window == 3
    for run, told in zip(made, reached, strict=True):
        steps = sorted({step for _, step, *_ in run})
        means = [np.mean([r.reward for _, s, _, g in run if s == step for r in g]) for step in steps]
        first = next(s for n, s in enumerate(steps) if n >= 2 and np.mean(means[n - 2 : n + 1]) >= level - 1e-12)
        assert told.step == first and told.low <= first <= told.high


def test_no_progress_no_level(tmp_path):
    found = runs(tmp_path, log(run="a", success=lambda step, rng: 1.0), log(run="b", success=lambda step, rng: 1.0))
    assert steps_to_reach(found, 0) == (None, 1, [])


def test_few_prompts_have_no_range_and_one_step_no_course(tmp_path):
    few = [ramp(range(4, 16), run=n, prompts=19, same=True) for n in "ab"]
    reached = steps_to_reach(runs(tmp_path, *few), 0, 0.5)[2]
    assert [(r.step, r.low, r.high, r.share) for r in reached] == [(10, None, None, None)] * 2
    one = runs(tmp_path / "one", log(steps=(1,), run="a"), log(steps=(1,), run="b"))
    assert steps_to_reach(one, 0, 0.5)[2] == []
