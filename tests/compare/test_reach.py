"""Steps to reach a reward: the first step at which the running mean is there."""

from __future__ import annotations

import numpy as np
import pytest
from compare.invented import folder, log

from grpo_prm.compare.reach import steps_to_reach
from grpo_prm.compare.runs import open_runs
from grpo_prm.errors import UsageError


def runs(tmp_path, *logs):
    return open_runs([folder(tmp_path / f"{n}.prm", made) for n, made in enumerate(logs)]).runs


def ramp(steps, slow=1.0, **more):
    """Certain rewards: none before step 10 · slow, all from there on."""
    return log(steps=steps, success=lambda step, rng: float(step >= 10 * slow), **more)


def test_a_sure_jump_is_reached_where_it_is(tmp_path):
    found = runs(tmp_path, ramp(range(20), run="a", prompts=20), ramp(range(20), slow=1.5, run="b", prompts=20))
    reach = steps_to_reach(found, 0, 0.5)
    assert (reach.level, reach.window, reach.why) == (0.5, 1, None)
    told = [(r.run, r.step, r.earliest, r.surely, r.known) for r in reach.runs]
    assert told == [("a", 10, 10, 10, True), ("b", 15, 15, 15, True)]


def test_a_run_that_ends_before_has_not_reached_it(tmp_path):
    found = runs(tmp_path, ramp(range(20), run="a", prompts=20), ramp(range(9), run="b", prompts=20))
    (_, b) = steps_to_reach(found, 0, 0.5).runs
    assert (b.step, b.earliest, b.surely, b.known, b.last) == (None, None, None, True, 8)


def test_without_a_level_it_is_nine_tenths_of_the_way_that_all_go(tmp_path):
    """Both start at 0; the peaks of the running means are 1, so the level is .9."""
    found = runs(tmp_path, ramp(range(20), run="a", prompts=20), ramp(range(30), slow=2, run="b", prompts=20))
    reach = steps_to_reach(found, 0)
    assert reach.level == pytest.approx(0.9) and [r.step for r in reach.runs] == [10, 20]


def test_the_level_lies_between_the_higher_start_and_the_lower_peak(tmp_path):
    a, b = ramp(range(20), run="a", prompts=20), ramp(range(20), run="b", prompts=20, rewards=(0.2, 0.6))
    reach = steps_to_reach(runs(tmp_path, a, b), 0)
    assert reach.level == pytest.approx(0.2 + 0.9 * 0.4) and [r.step for r in reach.runs] == [10, 10]


def test_to_be_at_the_level_is_to_reach_it(tmp_path):
    made = [log(steps=range(20), run=n, prompts=4, seed=ord(n), rewards=(0.0, 0.1)) for n in "ab"]
    found = runs(tmp_path, *made)
    best = max(np.mean([r.reward for _, s, _, g in made[0] if s == step for r in g]) for step in range(20))
    assert steps_to_reach(found, 0, float(best)).runs[0].step is not None
    assert steps_to_reach(found, 0, float(best) + 1e-6).runs[0].step is None


def test_the_running_mean_goes_over_a_twentieth_of_the_shortest_run(tmp_path):
    made = [
        log(steps=range(0, 120, 2), run="a", success=lambda step, rng: step / 120, prompts=8),
        log(steps=range(90), run="b", success=lambda step, rng: step / 90, prompts=8, seed=7),
    ]
    reach = steps_to_reach(runs(tmp_path, *made), 0, 0.6)
    assert reach.window == 3
    for run, told in zip(made, reach.runs, strict=True):
        steps = sorted({step for _, step, *_ in run})
        means = [np.mean([r.reward for _, s, _, g in run if s == step for r in g]) for step in steps]
        first = next(s for n, s in enumerate(steps) if n >= 2 and np.mean(means[n - 2 : n + 1]) >= 0.6 - 1e-12)
        assert told.step == first and told.earliest < first < told.surely and told.last == steps[-1]


def test_the_range_is_where_the_interval_of_the_mean_comes_up_to_the_level(tmp_path):
    """24 prompts a step, k = 4, windows of three: a mean of .5 scatters by .5 / sqrt(288), and a step adds 1/60."""
    made = [log(steps=range(60), run=n, success=lambda step, rng: step / 60, prompts=24, seed=ord(n)) for n in "ab"]
    (told, _) = steps_to_reach(runs(tmp_path, *made), 0, 0.5).runs
    half = 1.96 * 0.5 / np.sqrt(3 * 96)  # over windows of three steps
    assert told.known and told.earliest == pytest.approx(31 - 60 * half, abs=8)
    assert told.surely == pytest.approx(31 + 60 * half, abs=8) and told.earliest <= told.step <= told.surely


@pytest.mark.slow
def test_a_range_covers_the_true_crossing(tmp_path):
    """Rewards rise through .5 at step 20 whatever the draw; the window looks one step back."""
    made = [
        log(steps=range(40), run=f"{n}", prompts=24, seed=n, success=lambda step, rng: step / 40) for n in range(20)
    ]
    found = runs(tmp_path, [group for run in made for group in run])
    reached = steps_to_reach(found, 0, 0.5 - 0.5 / 40).runs
    assert len(reached) == 20
    assert sum(told.earliest <= 20 <= (told.surely or 99) for told in reached) >= 17


def test_no_progress_no_level(tmp_path):
    found = runs(tmp_path, log(run="a", success=lambda step, rng: 1.0), log(run="b", success=lambda step, rng: 1.0))
    reach = steps_to_reach(found, 0)
    assert (reach.level, reach.runs) == (None, []) and "the reward of a, b does not rise" in reach.why
    noise = runs(tmp_path / "noise", *(log(run=n, prompts=20, seed=ord(n)) for n in "ab"))
    assert steps_to_reach(noise, 0).level is None and steps_to_reach(noise, 0, 0.5).level == 0.5
    apart = runs(tmp_path / "apart", ramp(range(20), run="a", rewards=(0, 1)), ramp(range(20), run="b", rewards=(3, 4)))
    assert "none in common" in steps_to_reach(apart, 0).why


def test_few_prompts_have_no_range_and_one_step_no_course(tmp_path):
    few = [ramp(range(4, 16), run=n, prompts=19) for n in "ab"]
    reach = steps_to_reach(runs(tmp_path, *few), 0, 0.5)
    assert [(r.step, r.earliest, r.surely, r.known) for r in reach.runs] == [(10, None, None, False)] * 2
    one = runs(tmp_path / "one", log(steps=(1,), run="a"), ramp(range(20), run="b", prompts=20))
    reach = steps_to_reach(one, 0, 0.5)
    assert [r.run for r in reach.runs] == ["b"] and "Without steps to a reward: a" in reach.why


@pytest.mark.parametrize("level", [float("nan"), float("inf")])
def test_a_level_is_a_number(tmp_path, level):
    with pytest.raises(UsageError, match="finite"):
        steps_to_reach((), 0, level)
