"""The course of a training: at each step the numbers that `analyze` gives of it, and the findings of alarms."""

from __future__ import annotations

import polars as pl
import pytest

from grpo_prm.analysis.alarms import Alarms
from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.course import FIGURES, Course
from grpo_prm.analysis.inputs import fold_input
from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.logs.rollouts import Rollouts
from grpo_prm.logs.stream import merge
from grpo_prm.selftest.logs import LOGS


def canonical(name, groups=40):
    return fold_input(LOGS[name](groups=groups).rows, None, lambda batches, _: merge(batches)).table


def test_what_is_shown():
    assert FIGURES[0] == "reward" and FIGURES[-1] == "length"
    assert {"path_depth", "intermediate_proportion", "zero_variance", "suppressed_good"} <= {*FIGURES}
    assert all(name == "length" or STATISTICS[name].over_training for name in FIGURES)


@pytest.mark.parametrize("name", ["copies", "masked_tool_output", "constant"])
def test_figures_of_each_step_are_those_of_analyze(name):
    table, course = canonical(name), Course()
    training = analyze(Rollouts(table)).training
    steps = course.add(Rollouts(table))
    assert [one.step for one in steps] == [0, 1, 2, 3] and course.steps == 4 and course.last == 3
    assert (course.groups, course.completions) == (40, len(table))
    known = {(step, name): mean for step, name, mean in training["step", "statistic", "mean"].iter_rows()}
    for one in steps:
        of_step = table.filter(step=one.step)
        in_loss = [sum(mask) if mask is not None else len(ids) for ids, mask in of_step["tokens", "mask"].iter_rows()]
        assert one.figures["length"] == pytest.approx(sum(in_loss) / len(in_loss))
        for figure in FIGURES[:-1]:
            mine, other = one.figures[figure], known[one.step, figure]
            assert mine is None if other is None else mine == pytest.approx(other, rel=1e-11, abs=1e-12), figure
    for figure, values in course.figures.items():
        assert values == [one.figures[figure] for one in steps if one.figures[figure] is not None]


def test_findings_are_those_of_alarms_and_groups_of_one_are_passed_over():
    table, course, alarms = canonical("copies"), Course(), Alarms()
    told = [one for step in course.add(Rollouts(table)) for one in step.alarms]
    assert told == [
        one for (step,), part in table.group_by("step", maintain_order=True) for one in alarms.add(step, part)
    ]
    assert [one.code for one in course.alarms.now] == [one.code for one in alarms.now] and "copies" in str(told)
    alone = table.filter(pl.col("sample") == 0).with_columns(pl.col("step") + 10)
    assert course.add(Rollouts(alone)) == [] and course.add(Rollouts(table[:0])) == [] and course.last == 3


def test_a_log_without_steps_or_rewards_has_what_it_has():
    table = canonical("healthy").with_columns(step=pl.lit(None, pl.Int64))
    (one,) = Course().add(Rollouts(table))
    assert one.step is None and one.figures["path_depth"] > 0
    bare = table.with_columns(advantage=pl.col("reward") - 0.5, reward=pl.lit(None, pl.Float64))
    (one,) = Course().add(Rollouts(bare))
    assert one.figures["reward"] is None and one.figures["path_depth"] > 0
