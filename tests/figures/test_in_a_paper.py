"""What a reader of a paper would stumble over: patchwork bands, axes that differ, legends on data, names cut alike."""

import numpy as np
import polars as pl
import pytest
from figures.synthetic import log
from figures.test_figures import all_texts, assert_legible, axes_of, draw, lines, tables
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure

from grpo_prm.figures import FIGURES, captions, figure_tables, run_comparison
from grpo_prm.figures.names import legend_names, names_note

BARRED = ("overlap_over_training", "defects_over_training", "informativeness", "contest_by_depth", "decided")


def bands(axes):
    """Colours of the bands in axes that have an area."""
    return [
        c for c in axes.collections if isinstance(c, PolyCollection) and any(len(p.vertices) for p in c.get_paths())
    ]


def bars(axes):
    """Places of the bars of intervals."""
    drawn = [c for container in axes.containers for c in container.lines[2]]
    return sorted(float(s[0, 0]) for c in drawn if isinstance(c, LineCollection) for s in c.get_segments())


def holed(name, runs=("a",)):
    """The table of a figure in which one point of what was observed has no interval, and the interval's own place."""
    table = figure_tables(log(runs=runs, groups=60, steps=(0, 20, 40, 60, 80)), select=[name])[name]
    own = pl.col("series") == "observed" if "series" in table.columns else pl.lit(value=True)
    at = next(c for c in ("step", "depth", "point") if c in table.columns)
    value = table.filter(own)[at].drop_nulls().max()
    return table, table.with_columns(
        pl.when(own & (pl.col(at) == value)).then(None).otherwise(c).alias(c) for c in ("low", "high")
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", BARRED)
def test_an_interval_that_is_missing_makes_all_of_them_bars(name):
    whole, missing = holed(name)
    grey = name in ("defects_over_training", "informativeness", "overlap_over_training")  # of the reference
    before, after = (axes_of(FIGURES[name].draw(table)) for table in (whole, missing))
    if whole["low"].null_count() < whole.filter(pl.col("mean").is_not_null()).height // 2:
        assert all(len(bands(axes)) in (0, 1) for axes in after)
    for axes in after:
        blue = [band for band in bands(axes) if not grey or band.get_facecolor()[0][0] == 0.0]
        assert not blue and (bars(axes) or not axes.containers)
    assert any(bars(axes) for axes in after)
    figure = after[0].figure
    said = " ".join(text.get_text() for text in all_texts(figure))
    assert "problems" not in said and "no band" not in said
    assert_legible(figure)
    assert before[0].figure.get_size_inches().tolist() == figure.get_size_inches().tolist()  # no line for a remark


def test_which_points_have_no_bar_is_said_in_the_caption():
    whole, missing = holed("contest_by_depth")
    summaries = {"a": log(runs=("a",)).summary}
    said = captions({"contest_by_depth": missing}, summaries, "token")["contest_by_depth"]
    assert (
        "brackets and bars are 95 % intervals over problems, a point without a bar is of fewer than 20 problems" in said
    )
    full = whole.filter(pl.col("low").is_not_null())
    assert (
        "brackets and bands are 95 % intervals over problems;"
        in captions({"contest_by_depth": full}, summaries, "token")["contest_by_depth"]
    )


@pytest.mark.parametrize("long", [False, True])
def test_positions_have_one_axis_for_all_logs(long):
    axes = FIGURES["advantage_by_position"].draw(figure_tables(log(long=long))["advantage_by_position"])
    assert axes.get_xscale() == "log" and axes.get_xlim()[0] == pytest.approx(0.93)
    assert axes.get_xlabel() == "position in the completion (tokens, from 1)"
    assert_legible(axes.figure)


@pytest.mark.parametrize("case", ["usual", "three runs"])
def test_sizes_have_one_axis_and_lines_end_at_the_figure_of_the_log(case):
    table = tables(case)["update_by_size"]
    for axes, statistic in zip(FIGURES["update_by_size"].draw(table), ("amplification", "update_scale"), strict=True):
        assert axes.get_xscale() == "log" and axes.get_yscale() == "linear" and axes.get_ylim()[0] == 0
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8"]
        for run in table["run"].unique():
            whole = table.filter(statistic=statistic, run=run, p=0.0)["value"].sum()
            assert lines(axes)[f"{run}/0"].get_ydata()[-1] == pytest.approx(whole)
            assert (np.diff(lines(axes)[f"{run}/0"].get_ydata()) >= 0).all()


def test_bins_of_sizes_stand_at_their_end():
    first, last = [1, 2, 3, 5, 9, 17], [1, 2, 4, 8, 16, 20]
    bins = pl.DataFrame({"first": first, "last": last, "up_to": [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]})
    table = bins.join(pl.DataFrame({"p": [0.0, 0.5, 1.0]}), how="cross").with_columns(run=pl.lit("r"))
    table = pl.concat([table.with_columns(statistic=pl.lit(name)) for name in ("amplification", "update_scale")])
    figure = draw("update_by_size", table)
    for axes in figure.axes:
        assert lines(axes)["r/1"].get_xdata().tolist() == last
        assert [label.get_text() for label in axes.get_xticklabels()] == ["1", "2", "4", "8", "16"]
    assert_legible(figure)


# ---------------------------------------------------------------- names and legends


def test_long_names_are_shortened_to_what_differs():
    runs = [f"2026-11-02_qwen2.5-0.5b_gsm8k_{method}_seed{n}_final" for method in ("grpo", "lambda") for n in (1, 2)]
    assert list(legend_names(runs).values()) == ["grpo_seed1", "grpo_seed2", "lambda_seed1", "lambda_seed2"]
    assert legend_names(["grpo", "lambda-grpo"]) == {"grpo": "grpo", "lambda-grpo": "lambda-grpo"}  # short ones stay
    assert f"grpo_seed1 is {runs[0]}" in names_note(runs) and not names_note(["grpo", "lambda"])
    same = ["x" * 40 + "a" + "y" * 40, "x" * 40 + "b" + "y" * 40]  # cut in the middle they would be alike
    assert list(legend_names(same).values()) == ["run 1", "run 2"] and f"run 2 is {same[1]}" in names_note(same)
    one = "a-name-of-one-run-that-is-quite-long-indeed"
    assert legend_names([one])[one].startswith("a-name-of-on") and "…" in legend_names([one])[one]


def test_a_legend_has_the_short_names_and_the_caption_the_long_ones():
    runs = tuple(f"a-quite-long-name-of-a-sweep-rate-{rate}" for rate in ("1e-5", "3e-5"))
    analysis = log(runs=runs, groups=30)
    table = figure_tables(analysis, select=["overlap_over_training"])
    figure = draw("overlap_over_training", table["overlap_over_training"])
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["1e-5", "3e-5"]
    said = captions(table, {"sweep": analysis.summary}, "token")["overlap_over_training"]
    assert all(run in said for run in runs)


@pytest.mark.parametrize("count", [2, 6])
def test_a_legend_of_more_than_four_entries_is_outside_the_axes(count):
    table = figure_tables(log(runs=tuple("abcdefgh"[:count]), groups=12))["contest_by_depth"]
    own = Figure(figsize=(7, 3), layout="constrained")
    panels = list(own.subplots(1, 2))
    FIGURES["contest_by_depth"].draw(table, panels)
    own.draw_without_rendering()
    (legend,) = [axes.get_legend() for axes in panels if axes.get_legend()]
    inside = any(legend.get_window_extent().overlaps(axes.get_window_extent()) for axes in panels)
    assert inside == (count <= 4)


def test_a_comparison_says_its_windows():
    rows = [(run, step, 4, "reward", 0.5, 0.4, 0.6) for run in "ab" for step in range(0, 120, 4)]
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    schema = {"run": pl.String, "step": pl.Int64, "steps": pl.Int64, "statistic": pl.String, **floats}
    (axes,) = run_comparison(pl.DataFrame(rows, schema, orient="row"))
    assert axes.get_xlabel() == "training step\n(windows of 4)"
