"""The figures of sizes, depths, subsets, permutations, comparisons and trees draw their tables, all of them."""

import numpy as np
import polars as pl
import pytest
from figures.synthetic import log, rollouts
from figures.test_figures import assert_legible, axes_of, draw, lines, tables
from matplotlib import colormaps
from matplotlib.patches import Rectangle, StepPatch

from grpo_prm.figures import (
    FIGURES,
    VENUES,
    captions,
    figure_tables,
    group_tree,
    overlap_by_k,
    run_comparison,
    tables_of,
)
from grpo_prm.figures.letters import MISSING, drawable, plain, shortened, text_width
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.style import MARKERS, PALETTE, colours, markers

RTL, BELL = "\u202e", "\a"


def legend_of(figure):
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize("case", ["usual", "three runs"])
def test_lines_by_k_and_rings_of_whole_groups(case):
    table = tables(case)["overlap_by_k"]
    for axes, statistic in zip(overlap_by_k(table), ("path_depth", "intermediate_proportion"), strict=True):
        for run in table["run"].unique():
            part = table.filter(statistic=statistic, run=run).sort("size")
            np.testing.assert_array_equal(lines(axes)[run].get_xydata(), part.select("size", "mean").to_numpy())
            whole = part.filter(pl.col("whole") == pl.col("groups"))
            assert whole["size"].to_list() == [8]
            ring = lines(axes)[f"{run}/whole"]
            np.testing.assert_array_equal(ring.get_xydata(), whole.select("size", "mean").to_numpy())
        assert axes.get_xscale() == "log" and axes.get_ylim()[0] == 0
        assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "4", "8"]


def test_a_ring_is_not_drawn_where_some_groups_are_larger():
    table = tables("usual")["overlap_by_k"].with_columns(whole=pl.when(pl.col("size") == 8).then(299).otherwise(0))
    for axes in overlap_by_k(table):
        assert not len(lines(axes)["base/whole"].get_xdata())


def test_lines_by_size_hold_the_values():
    table = tables("usual")["update_by_size"]
    for axes, statistic in zip(FIGURES["update_by_size"].draw(table), ("amplification", "update_scale"), strict=True):
        for p in (0.0, 0.5, 1.0):
            part = table.filter(statistic=statistic, p=p).sort("first")
            line = lines(axes)[f"base/{p:g}"]
            np.testing.assert_allclose(line.get_xydata(), part.select("last", "up_to").to_numpy())
            assert part["up_to"].to_list() == pytest.approx(part["value"].cum_sum().to_list())
    several = tables("three runs")["update_by_size"]
    names = {gid for axes in FIGURES["update_by_size"].draw(several) for gid in lines(axes)}
    assert names == {f"{run}/{p}" for run in several["run"].unique() for p in (0, 1)}


@pytest.mark.parametrize("case", ["usual", "three runs"])
def test_lines_by_depth(case):
    table = tables(case)["contest_by_depth"]
    for axes, statistic in zip(FIGURES["contest_by_depth"].draw(table), ("contest", "certain_share"), strict=True):
        for run in table["run"].unique():
            part = table.filter(statistic=statistic, run=run).sort("depth")
            drawn = lines(axes)[run]
            np.testing.assert_array_equal(drawn.get_ydata(), part["mean"])
            assert np.abs(drawn.get_xdata() - part["depth"].to_numpy()).max() < 0.3  # runs side by side
            assert case != "usual" or drawn.get_xdata().tolist() == part["depth"].to_list()


def test_a_pooled_depth_is_named():
    table = tables("usual")["contest_by_depth"]
    last = pl.col("depth") == 4
    pooled = table.with_columns(
        pl.when(last).then(11).otherwise("last").alias("last"),
        *(pl.when(last).then(None).otherwise(c).alias(c) for c in ("low", "high")),
    )
    figure = draw("contest_by_depth", pooled)
    assert all(axes.get_xticklabels()[-1].get_text() == "4+" for axes in figure.axes)
    assert not legend_of(figure)
    assert_legible(figure)


def test_permutations_are_a_histogram_with_the_value_in_it():
    table = tables("usual")["informativeness"]
    histogram, course = FIGURES["informativeness"].draw(table)
    (stairs,) = [patch for patch in histogram.patches if isinstance(patch, StepPatch)]
    bins = table.filter(series="permutations")
    counts, edges, _ = stairs.get_data()
    assert counts.tolist() == bins["n"].to_list()
    assert edges.tolist() == [*bins["low"], bins["high"][-1]]
    (value,) = table.filter(series="value")["mean"]
    assert set(lines(histogram)["base/value"].get_xdata()) == {value}
    assert legend_of(histogram.figure) == ["observed (p = 0.005)", "rewards permuted"]
    part = table.filter(series="observed")
    np.testing.assert_array_equal(lines(course)["base/observed"].get_xydata(), part.select("step", "mean").to_numpy())
    assert len(axes_of(FIGURES["informativeness"].draw(tables("one step")["informativeness"]))) == 1


def test_a_value_without_permutations_stands_alone_and_says_why():
    analysis = log(null=False)
    none = {"null_mean": None, "null_low": None, "null_high": None, "p_value": None}
    analysis.summary["informativeness"].update(none)
    analysis.permutations = analysis.permutations.with_columns(informativeness=pl.lit(None, pl.Float64))
    logs = join_logs([analysis])
    table = tables_of(logs, ["informativeness"])["informativeness"]
    assert table.filter(series="value").select("mean", "n", "p_value").rows() == [(0.34, 0, None)]
    histogram, _ = FIGURES["informativeness"].draw(table)
    assert set(lines(histogram)["base/value"].get_xdata()) == {0.34} and not histogram.patches
    assert legend_of(histogram.figure) == ["observed (nothing to permute)"]
    caption = captions({"informativeness": table}, logs.summaries, logs.unit)["informativeness"]
    assert "0.34 observed, nothing to permute;" in caption


def comparison(statistics, runs=("a", "b"), steps=30):
    rng = np.random.default_rng(0)
    rows = [(run, step, name, m := rng.random(), m - 0.05, m + 0.05) for name in statistics for run in runs
            for step in range(steps)]  # fmt: skip
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    return pl.DataFrame(rows, {"run": pl.String, "step": pl.Int64, "statistic": pl.String, **floats}, orient="row")


ALL = ("reward", "accuracy", "path_depth", "intermediate_proportion", "suppressed_good", "boosted_bad", "amplification")


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("runs", [("a", "b"), tuple("abcdefghij")])
@pytest.mark.parametrize("steps", [1, 30, 100])
def test_a_panel_for_each_statistic_of_a_comparison(count, runs, steps):
    table = comparison(ALL[:count], runs, steps)
    drawn = run_comparison(table)
    assert len(drawn) == count
    for axes, statistic in zip(drawn, ALL[:count], strict=True):
        for run in runs:
            part = table.filter(run=run, statistic=statistic)
            if steps > 1:
                line = lines(axes)[f"{run}/observed"]
                np.testing.assert_array_equal(line.get_xydata(), part.select("step", "mean").to_numpy())
        assert any(label.get_visible() and label.get_text() for label in axes.get_xticklabels()) or count > 2
    assert_legible(drawn[0].figure)
    assert drawn[0].get_ylim()[0] != 0 or steps > 1  # a reward may be negative


def test_a_comparison_without_rows_and_with_unknown_ones():
    (empty,) = run_comparison(comparison(()))
    assert empty.texts[0].get_text() == "no statistic to compare"
    table = comparison(ALL[:2]).with_columns(
        pl.when(pl.col("statistic") == "accuracy").then(None).otherwise(c).alias(c) for c in ("mean", "low", "high")
    )
    assert run_comparison(table)[1].texts[0].get_text() == "no accuracy"


# ---------------------------------------------------------------- the tree


def tree(texts, tokens, **columns):
    analysis = log()
    analysis.samples = rollouts("base", 3, tokens, completion=texts, **columns)
    return figure_tables(analysis)["group_tree"]


def test_boxes_are_drawn_where_the_table_has_them():
    table = tables("usual")["group_tree"]
    axes = group_tree(table)
    patches = [p for p in axes.patches if isinstance(p, Rectangle) and p.get_gid() == "step"]
    found = sorted((p.get_x(), p.get_y(), p.get_x() + p.get_width(), p.get_y() + p.get_height()) for p in patches)
    assert found == sorted(table.filter(box="step").select("x0", "y0", "x1", "y1").rows())
    marks = [line.get_gid() for line in axes.lines if line.get_gid()]
    assert sorted(marks) == sorted(table["mark"].drop_nulls())
    assert axes.get_title(loc="left") == "training step 0, k = 4"
    rewards = [text.get_text() for text in sorted(axes.texts[-4:], key=lambda text: text.get_position()[1])]
    assert rewards == [f"{r:.3g}" for r in table.filter(box="completion").sort("y0")["reward"]]


@pytest.mark.parametrize("most", [1.2, 7.5])  # beyond the ends or not
def test_colours_are_symmetric_about_nothing_and_end_where_those_of_the_log_do(most):
    table = tables("usual")["group_tree"].with_columns(limit=1.2, most=pl.lit(most))
    axes = group_tree(table)
    steps = table.filter(box="step")
    patches = [p for p in axes.patches if p.get_gid() == "step"]
    colour = {a: p.get_facecolor() for a, p in zip(steps["advantage"], patches, strict=True)}
    for advantage, found in colour.items():
        assert found == pytest.approx(colormaps["RdBu"](np.clip(0.5 + advantage / 1.2 / 1.35 / 2, 0, 1)), abs=0.01)
        assert (found[0] > found[2]) == (advantage < 0) or advantage == 0
    (bar,) = [other for other in axes.figure.axes if other is not axes]
    assert [f"{t:.6f}" for t in bar.get_xticks()] == [f"{t:.6f}" for t in (-1.2, 0, 1.2)]
    arrows = [patch for patch in bar.patches if patch.get_path().vertices.shape[0] <= 5]
    assert bool(arrows) == (most > 1.2)


def test_hostile_text_is_cut_to_its_box_and_read_as_text():
    hostile = f"$\\frac{{$ {RTL}{BELL} <script> \ue000 \\$x_ %&#\n\t\r" * 3
    table = tree([hostile + "a", hostile + "b", "$", "\\"], ((1, 2, 3), (1, 2, 4), (5,), (6,)))
    axes = group_tree(table)
    boxed = [text for text in axes.texts if text.get_clip_on()]
    shown = [text.get_text() for text in boxed]
    key = [text for legend in axes.figure.legends for text in legend.get_texts()]
    shown += [text.get_text() for text in key]
    assert any(text.startswith(f"$\\frac{{$ {MISSING * 2} <script> {MISSING} \\$x_") for text in shown)
    assert not any("?" in text for text in shown)
    assert "$" in shown and "\\" in shown and not any(text.get_parse_math() for text in [*boxed, *key[1:]])
    assert_legible(axes.figure)


@pytest.mark.slow
@pytest.mark.parametrize("k", [2, 16, 30, 100])
@pytest.mark.parametrize("venue", ["column", "neurips"])
def test_a_tree_of_any_size_is_legible(k, venue):
    rng = np.random.default_rng(k)
    tokens = tuple(tuple(rng.integers(0, 2, rng.integers(1, 40)).tolist()) for _ in range(k))
    texts = ["".join("ab"[t] for t in row) for row in tokens]
    table = tree(texts, tokens, reward=rng.integers(0, 2, k).astype(float).tolist())
    axes = group_tree(table, venue=venue)
    assert_legible(axes.figure)
    for text in (text for text in axes.texts if text.get_clip_on()):  # whole lines, no halves
        line, box = text.get_window_extent(), text.get_clip_box()
        assert line.height <= box.height * 1.25 and line.y0 > box.y0 - 2 and line.y1 < box.y1 + 2
    bars = [p for container in axes.containers for p in container]
    if k == 100:  # rows too low for numbers
        assert sorted(p.get_width() > 0 for p in bars) == sorted(
            r > 0 for r in table.filter(box="completion")["reward"]
        )
    elif k <= 16:
        assert not bars


@pytest.mark.slow
def test_a_tree_without_rewards_text_or_advantages():
    tokens, texts = ((1, 2), (1, 3), (4,), (5,)), ["ab", "ac", "d", "e"]
    for reward in ([None] * 4, [0.5] * 4, [-1.0, -2.0, 0.0, 1.0]):
        assert_legible(group_tree(tree(texts, tokens, reward=reward)).figure)
    assert_legible(group_tree(tree([None] * 4, tokens)).figure)


def test_text_is_shortened_to_what_fits():
    assert shortened("abc", 6, text_width("abc", 6)) == "abc"
    short = shortened("abcdefgh" * 9, 6, 30)
    assert short.endswith("…") and 22 < text_width(short, 6) <= 30 and short[:-1] in "abcdefgh" * 9
    assert shortened("abc", 6, 1) == "" == shortened("", 6, 5)
    assert text_width("mm", 10) == pytest.approx(2 * text_width("m", 10)) and text_width("m", 12) > text_width("i", 12)


def test_labels_are_safe():
    assert plain("a$b$") == r"a\$b\$" and drawable("a\nb\tc\x1b\ue000") == f"a⏎b c{MISSING}{MISSING}"
    assert len(plain("x" * 100)) == 24


# ---------------------------------------------------------------- colours


def seen_by(kind, colour):
    """Linear RGB as a dichromat sees it: Viénot, Brettel and Mollon 1999."""
    value = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    lms = to_lms @ linear
    if kind == "protan":
        lms[0] = 2.02344 * lms[1] - 2.52581 * lms[2]
    elif kind == "deutan":
        lms[1] = 0.494207 * lms[0] + 1.24827 * lms[2]
    return np.clip(np.linalg.inv(to_lms) @ lms, 0, 1)


def lab(linear):
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ linear
    f = np.cbrt(xyz / np.array([0.9505, 1.0, 1.089]))
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("kind", ["any", "protan", "deutan"])
def test_runs_are_told_apart_with_any_colour_vision(kind):
    """Two runs by colour alone; of more, each pair differs in colour or else in marker."""
    seen = [lab(seen_by(kind, colour)) for colour in PALETTE]
    assert np.linalg.norm(seen[0] - seen[1]) > 40
    distances = [np.linalg.norm(a - b) for n, a in enumerate(seen) for b in seen[:n]]
    assert min(distances) > 10  # ten is seen at a glance
    runs = [f"run {n}" for n in range(7)]
    assert len(set(markers(runs).values())) == len(set(colours(runs).values())) == len(MARKERS) == 7


@pytest.mark.parametrize("kind", ["any", "protan", "deutan"])
def test_the_signs_of_a_tree_are_told_apart(kind):
    from matplotlib.colors import to_hex

    low, high = (lab(seen_by(kind, to_hex(colormaps["RdBu"](at)))) for at in (0.5 - 0.25, 0.5 + 0.25))
    assert np.linalg.norm(low - high) > 30


def test_venues_have_the_widths_of_their_style_files():
    inches = {"icml": 3.25, "neurips": 5.5, "iclr": 5.5, "aaai": 3.3, "beamer": 140 / 25.4}  # as tueplots 0.2.5 has
    assert {name: VENUES[name].width for name in inches} == pytest.approx(inches, abs=0.005)
    assert VENUES["acl"].width == pytest.approx((16 - 0.6) / 2 / 2.54, abs=0.005)
    assert all(venue.small >= 6 and venue.size >= venue.small for venue in VENUES.values())
