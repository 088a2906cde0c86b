"""Metrics of trainers: windows are the means of their steps, and the lines hold what the table has."""

import numpy as np
import polars as pl
import pytest
from figures.test_figures import assert_legible, lines

from grpo_prm.figures.training_metrics import make_table, training_metrics

FLOATS = dict.fromkeys(("value", "low", "high"), pl.Float64)


def metrics(lengths, names=("reward", "kl")):
    """Runs of so many steps; the last metric is evaluated every tenth step, with an interval."""
    rng, rows = np.random.default_rng(0), []
    for run, steps in lengths.items():
        rows += [(run, name, step, rng.random(), None, None) for name in names for step in range(steps)]
        rows += [(run, "held_out/accuracy", step, 0.5, 0.4, 0.6) for step in range(0, steps + 1, 10)]
    return pl.DataFrame(rows, {"run": pl.String, "metric": pl.String, "step": pl.Int64} | FLOATS, orient="row")


def test_a_long_run_is_means_of_windows_with_its_steps_behind():
    known = metrics({"a": 100, "b": 30})
    table = make_table(known, ["kl", "held_out/accuracy"])
    assert table["statistic"].unique(maintain_order=True).to_list() == ["kl", "held_out/accuracy"]
    values = known.filter(metric="kl", run="a")["value"].to_numpy()
    shown = table.filter(run="a", statistic="kl", series="observed").sort("step")
    # 100 steps in at most 30 windows: four steps each
    np.testing.assert_allclose(shown["mean"], values.reshape(25, 4).mean(axis=1))
    assert shown["step"].to_list() == list(range(1, 100, 4)) and shown["steps"].unique().to_list() == [4]
    behind = table.filter(run="a", statistic="kl", series="each_step")
    np.testing.assert_array_equal(behind["mean"], values)
    short = table.filter(run="b", statistic="kl")
    assert short["series"].unique().to_list() == ["observed"] and len(short) == 30
    held = table.filter(run="a", statistic="held_out/accuracy")
    assert held.select("step", "low", "high").rows() == [(step, 0.4, 0.6) for step in range(0, 101, 10)]


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [{"a": 30}, {"a": 100, "b": 30}, dict.fromkeys("abcdefghij", 100)])
def test_lines_hold_the_table(lengths):
    table = make_table(metrics(lengths), ["held_out/accuracy", "reward", "kl"])
    drawn = training_metrics(table)
    assert [axes.get_title("left") for axes in drawn] == ["held_out/accuracy", "reward", "kl"]
    for axes, name in zip(drawn, ["held_out/accuracy", "reward", "kl"], strict=True):
        for run in lengths:
            part = table.filter(run=run, statistic=name, series="observed").sort("step")
            np.testing.assert_array_equal(lines(axes)[f"{run}/observed"].get_xydata(), part.select("step", "mean"))
    assert_legible(drawn[0].figure)


def test_no_metrics_are_said():
    (empty,) = training_metrics(make_table(metrics({}), []))
    assert empty.texts[0].get_text() == "no metrics"
