"""The curves of a run: lines are the table's, held-out points carry their intervals, and all of it is legible."""

import numpy as np
import polars as pl
import pytest
from figures.test_figures import assert_legible, lines

from grpo_prm.figures import save, training_curves
from grpo_prm.figures.training_curves import HELD_OUT
from grpo_prm.train.record import CURVES


def table(runs=("chain.run",), steps=range(40), evaluations=(0, 20, 40), without=()):
    rng, rows = np.random.default_rng(0), []
    for run in runs:
        for name in CURVES:
            if name not in without:
                rows += [(run, step, name, "observed", rng.random(), None, None) for step in steps]
        for step in evaluations:
            mean = rng.random() * 0.6 + 0.2
            rows.append((run, step, "accuracy", "held_out", mean, mean - 0.1, mean + 0.15))
    numbers = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    names = {"run": pl.String, "step": pl.Int64, "statistic": pl.String, "series": pl.String}
    return pl.DataFrame(rows, schema=names | numbers, orient="row")


CASES = {
    "usual": {},
    "two runs": {"runs": ("a", "b")},
    "one step": {"steps": [0], "evaluations": (0, 1)},
    "nothing held out": {"evaluations": ()},
    "accuracy held out only": {"without": ("accuracy",)},
    "nothing": {"steps": [], "evaluations": ()},
}


@pytest.mark.parametrize("case", CASES)
def test_nothing_is_cut_off_and_no_label_lies_on_another(case):
    assert_legible(training_curves(table(**CASES[case]))[0].figure)


@pytest.mark.parametrize("case", ["usual", "two runs"])
def test_lines_and_points_hold_the_table(case):
    made = table(**CASES[case])
    drawn = training_curves(made)
    for axes, statistic in zip(drawn, CURVES, strict=True):
        for run in made["run"].unique():
            part = made.filter(run=run, statistic=statistic, series="observed")
            np.testing.assert_array_equal(
                lines(axes)[f"{run}/observed"].get_xydata(), part.select("step", "mean").to_numpy()
            )
    accuracy = drawn[1]
    assert all(not axes.containers for axes in drawn if axes is not accuracy)
    for bar, run in zip(accuracy.containers, sorted(made["run"].unique()), strict=True):
        part = made.filter(run=run, series=HELD_OUT)
        np.testing.assert_array_equal(bar.lines[0].get_xydata(), part.select("step", "mean").to_numpy())
        ends = np.array([segment[:, 1] for segment in bar.lines[2][0].get_segments()])
        np.testing.assert_allclose(ends, part.select("low", "high").to_numpy())


def test_accuracy_that_is_held_out_only_is_points():
    axes = training_curves(table(without=("accuracy",)))[1]
    assert len(axes.containers) == 1 and not axes.texts and axes.axison


def test_no_data_is_said():
    assert all("no " in axes.texts[0].get_text() for axes in training_curves(table(steps=[], evaluations=())))


@pytest.mark.slow
def test_equal_tables_give_equal_files_with_their_data(tmp_path):
    made = table()
    written = save({"training_curves": made}, tmp_path / "one")
    save({"training_curves": made}, tmp_path / "two")
    assert {path.name for path in written} == {f"training_curves.{suffix}" for suffix in ("pdf", "png", "csv")}
    assert all(path.read_bytes() == (tmp_path / "two" / path.name).read_bytes() for path in written)
    assert pl.read_csv(tmp_path / "one" / "training_curves.csv", schema=made.schema).equals(made)
