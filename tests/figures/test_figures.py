"""Figures draw the table they are given, all of it, legibly, and to the same bytes each time."""

import subprocess
import sys
from functools import cache
from pathlib import Path

import matplotlib as mpl
import numpy as np
import polars as pl
import pytest
from figures.synthetic import cleared, log
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from grpo_prm.errors import UsageError
from grpo_prm.figures import FIGURES, VENUES, figure_tables, overlap_over_training

HOSTILE = "$x_{1$ \x1b[31m\u202e中 evil"
LOGS = {
    "usual": {},
    "one step": {"steps": (7,)},
    "no step": {"steps": (None,), "intervals": False, "null": False, "groups": 1},
    "three runs": {"runs": ("base", "_hidden", HOSTILE), "groups": 40},
    "many runs": {"runs": tuple(f"run-with-a-long-name-{i}-of-a-sweep" for i in range(12)), "groups": 12},
    "two runs of one step": {"runs": ("a", "b"), "steps": (5,)},
    "many steps": {"steps": tuple(range(600)), "groups": 5},
    "no intervals": {"intervals": False, "null": False},
}


@cache
def tables(name):
    return figure_tables(log(**LOGS[name]))


def axes_of(drawn):
    """The axes that a figure returned, one or more."""
    return [drawn] if isinstance(drawn, Axes) else drawn


def draw(name, table, **options):
    """The figure that a function of `figures` made."""
    return axes_of(FIGURES[name].draw(table, **options))[0].figure


def all_texts(figure):
    """The texts that are drawn: an axis keeps labels of ticks out of sight too."""
    drawn, draw = [], Text.draw
    FigureCanvasAgg(figure)  # whose renderer measures text, and is kept
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Text, "draw", lambda text, *args, **kwargs: (drawn.append(text), draw(text, *args, **kwargs)))
        figure.draw_without_rendering()
    return [text for text in dict.fromkeys(drawn) if text.get_visible() and text.get_text().strip()]


def lines(axes):
    return {line.get_gid(): line for line in axes.lines if line.get_gid()}


def cut_out(text):
    """What is to be seen of a text: one in a box of a tree is cut to it."""
    box = text.get_window_extent()
    clip = text.get_clip_box() if text.get_clip_on() else None
    return box if clip is None else Bbox.intersection(box, clip)


def assert_apart(boxes):
    """No box lies on another by more than two pixels, which is asked of all pairs at once: a tree has thousands."""
    low, high = np.sort([box.padded(-1).get_points() for box in boxes], axis=1).swapaxes(0, 1)
    meet = ((low[:, None] <= high) & (low <= high[:, None])).all(axis=2)
    assert np.argwhere(np.triu(meet, 1)).tolist() == []


def assert_legible(figure, least=6.0):
    """Nothing cut off, no text on another, and none smaller than what can be read in print."""
    texts = all_texts(figure)
    boxes = [box for text in texts if (box := cut_out(text)) is not None]
    edge = figure.bbox
    for box in boxes:
        assert box.x0 >= edge.x0 - 1 and box.y0 >= edge.y0 - 1 and box.x1 <= edge.x1 + 1 and box.y1 <= edge.y1 + 1
    assert_apart(boxes)
    assert min(text.get_fontsize() for text in texts) >= least
    for legend in figure.legends:  # above the panels or, a key, below them: never over data
        place = legend.get_window_extent()
        others = [axes.get_window_extent() for axes in figure.axes]
        assert all(place.y0 >= other.y1 - 1 for other in others) or all(place.y1 <= other.y0 + 1 for other in others)
    return boxes


@pytest.mark.slow
@pytest.mark.parametrize("case", LOGS)
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_cut_off_and_no_label_lies_on_another(case, name):
    figure = draw(name, tables(case)[name])
    assert len(assert_legible(figure)) > 4
    assert figure.get_figwidth() == VENUES["column"].width


@pytest.mark.slow
# Some are alike, and figures for "column" are drawn above.
@pytest.mark.parametrize("venue", sorted({VENUES[name]: name for name in VENUES if name != "column"}.values()))
@pytest.mark.parametrize("name", FIGURES)
def test_every_venue_is_legible(venue, name):
    figure = draw(name, tables("usual")[name], venue=venue)
    assert_legible(figure)
    assert figure.get_figwidth() == VENUES[venue].width


def test_lines_and_bands_hold_the_table():
    table = tables("usual")["overlap_over_training"]
    drawn = overlap_over_training(table)
    for axes, statistic in zip(drawn, ("path_depth", "intermediate_proportion"), strict=True):
        for series, style in (("observed", "-"), ("baseline", "--")):
            part = table.filter(statistic=statistic, series=series).sort("step")
            line = lines(axes)[f"base/{series}"]
            assert line.get_linestyle() == style
            np.testing.assert_array_equal(line.get_xydata(), part.select("step", "mean").to_numpy())
            bands = [set(map(tuple, band.get_paths()[0].vertices)) for band in axes.collections]
            corners = set(part.select(pl.col("step").cast(float), "low").rows())
            corners |= set(part.select(pl.col("step").cast(float), "high").rows())
            assert any(corners <= band for band in bands)
        assert axes.get_ylim()[0] == 0


def test_an_unknown_mean_is_a_gap_and_an_unknown_interval_no_band():
    table = tables("usual")["overlap_over_training"]
    hole = (pl.col("step") == 100) & (pl.col("statistic") == "path_depth")
    holed = table.with_columns(pl.when(hole).then(None).otherwise(c).alias(c) for c in ("mean", "low", "high"))
    drawn = lines(overlap_over_training(holed)[0])["base/observed"].get_xdata()
    assert 100 not in drawn and len(drawn) == len(table.filter(statistic="path_depth", series="observed")) - 1
    bare = tables("no intervals")["overlap_over_training"]
    assert all(not len(path.vertices) for c in overlap_over_training(bare)[0].collections for path in c.get_paths())


def test_one_step_is_points_with_bars_by_series():
    table = tables("one step")["defects_over_training"]
    for axes, statistic in zip(
        draw("defects_over_training", table).axes, ("suppressed_good", "boosted_bad"), strict=True
    ):
        drawn = {bar.lines[0].get_gid() or bar.get_label(): bar for bar in axes.containers}
        assert len(drawn) == 2
        for i, series in enumerate(("observed", "null")):
            (row,) = table.filter(statistic=statistic, series=series).rows(named=True)
            (bar,) = [b for b in axes.containers if b.lines[0].get_xdata()[0] == i]
            assert bar.lines[0].get_ydata()[0] == row["mean"]
            low, high = bar.lines[2][0].get_segments()[0][:, 1]
            assert (low, high) == pytest.approx((row["low"], row["high"]))
        assert [label.get_text() for label in axes.get_xticklabels()] == ["observed", "rewards\npermuted"]


@pytest.mark.parametrize("steps", [(0, 8, 16, 24, 32, 40, 48, 56), (3, 5), (1, 2, 3, 4, 100), tuple(range(12))])
def test_few_steps_have_their_ticks_where_they_are(steps):
    table = figure_tables(log(steps=steps, groups=5))["defects_over_training"]
    for axes in draw("defects_over_training", table).axes:
        ticks = axes.get_xticks()
        assert set(ticks) <= set(steps) and ticks[0] == steps[0] and 2 <= len(ticks) <= 5
        assert min(np.diff(ticks)) >= (steps[-1] - steps[0]) / 4


def test_a_run_without_steps_is_a_level_line_beside_one_with_steps():
    both = log(runs=("a",)), log(runs=("b",), steps=(None,), intervals=False)
    table = figure_tables(*both)["overlap_over_training"]
    level = table.filter(run="b", statistic="path_depth", series="observed")["mean"].item()
    assert any(set(line.get_ydata()) == {level} for line in overlap_over_training(table)[0].lines)


def test_distributions_are_drawn_as_steps():
    table = tables("usual")["overlap_over_groups"]
    for axes, statistic in zip(
        draw("overlap_over_groups", table).axes, ("path_depth", "intermediate_proportion"), strict=True
    ):
        for series in ("observed", "baseline"):
            part = table.filter(statistic=statistic, series=series)
            line = lines(axes)[f"base/{series}"]
            assert line.get_drawstyle() == "steps-post"
            np.testing.assert_array_equal(line.get_xydata(), part.select("value", "share").to_numpy())


def test_proportions_are_percent_as_on_the_page():
    made = tables("usual")
    for name, way in (("overlap_over_training", "yaxis"), ("overlap_over_groups", "xaxis")):
        depth, proportion = axes_of(FIGURES[name].draw(made[name]))
        assert getattr(proportion, way).get_major_formatter()(0.25) == "25 %"
        assert "%" not in getattr(depth, way).get_major_formatter()(0.25)


def pieces(stairs):
    """Begin, end and height of each piece of stairs that is there."""
    values, edges, _ = stairs.get_data()
    return [(a, b, v) for a, b, v in zip(edges[:-1], edges[1:], values, strict=True) if not np.isnan(v)]


def test_a_bin_ends_with_its_last_position_and_has_bands_of_twenty_groups_or_more():
    table = tables("usual")["advantage_by_position"][:3].with_columns(
        first=pl.Series([1, 4, 9]), last=pl.Series([2, 8, 9]), groups=pl.Series([20, 19, 300])
    )
    figure = draw("advantage_by_position", table)
    outer, inner, median = figure.axes[0].patches
    assert [piece[:2] for piece in pieces(median)] == [(1, 3), (4, 9), (9, 10)]
    assert [piece[:2] for piece in pieces(outer)] == [piece[:2] for piece in pieces(inner)] == [(1, 3), (9, 10)]
    few = draw("advantage_by_position", table.with_columns(groups=19))
    assert [text.get_text() for text in few.legends[0].get_texts()] == ["median"]
    all_texts(figure)  # draws it


def test_bins_of_positions_are_stairs_and_few_steps_points():
    table = tables("usual")["advantage_by_position"]
    figure = draw("advantage_by_position", table)
    bands, (median,) = (
        [p for p in figure.axes[0].patches if not p.get_gid()],
        [p for p in figure.axes[0].patches if p.get_gid() == "base"],
    )
    wanted = [(row["first"], row["last"] + 1, row["median"]) for row in table.rows(named=True)]
    assert pieces(median) == wanted and len(bands) == 2
    assert pieces(bands[0]) == [(*at[:2], high) for at, high in zip(wanted, table["q95"], strict=True)]
    few = tables("no step")["advantage_by_position"]
    points = lines(draw("advantage_by_position", few).axes[0])["base"]
    np.testing.assert_array_equal(points.get_xydata(), few.select("first", "median").to_numpy())


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_to_draw_is_said_in_the_axis(name):
    figure = draw(name, figure_tables(cleared())[name])
    assert all("no " in " ".join(t.get_text() for t in axes.texts) for axes in figure.axes)
    assert_legible(figure)
    nulls = log()
    columns = [c for c in nulls.training.columns if nulls.training[c].dtype == pl.Float64]
    nulls.training = nulls.training.with_columns(pl.lit(None, pl.Float64).alias(c) for c in columns)
    if name.endswith("training"):
        figure = draw(name, figure_tables(nulls)[name])
        assert all(axes.texts and not axes.lines for axes in figure.axes)


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_axes_name_the_unit_and_can_be_the_callers(name):
    table = tables("usual")[name]
    assert any("piece" in text.get_text() for text in all_texts(draw(name, table, unit="piece")))
    own = Figure(figsize=(7, 3))
    panels = len(axes_of(FIGURES[name].draw(table)))
    axes = list(own.subplots(1, panels, squeeze=False).flat)
    given = axes[0] if len(axes) == 1 else axes
    drawn = FIGURES[name].draw(table, given)
    assert axes_of(drawn) == axes and all(panel.figure is own and panel.has_data() for panel in axes)
    assert isinstance(drawn, Axes) == (len(axes) == 1)
    with pytest.raises(ValueError, match="give as many axes, not 3"):
        FIGURES[name].draw(table, Figure().subplots(1, 3))


def test_the_callers_axes_keep_the_callers_style():
    with mpl.rc_context({"font.size": 17, "xtick.labelsize": 16}):
        drawn = FIGURES["overlap_over_training"].draw(tables("usual")["overlap_over_training"], Figure().subplots(1, 2))
        assert drawn[0].xaxis.label.get_fontsize() == 17
        ours = FIGURES["overlap_over_training"].draw(tables("usual")["overlap_over_training"])
        assert ours[0].title.get_fontsize() == 7
    ours[0].figure.draw_without_rendering()  # ticks are made only now, when the caller's settings are in force
    assert {label.get_fontsize() for label in ours[0].get_yticklabels()} == {6.5}


def test_another_venue_is_refused():
    with pytest.raises(UsageError, match=r"No venue is called nature. Choose one of column, icml"):
        draw("group_tree", tables("usual")["group_tree"], venue="nature")


def test_run_names_are_text_and_not_markup():
    figure = draw("overlap_over_training", tables("three runs")["overlap_over_training"])
    texts = [text.get_text() for text in all_texts(figure)]
    (hostile,) = [text for text in texts if "evil" in text]
    assert hostile.isprintable() and "_hidden" in texts


def test_no_pyplot():
    code = (
        "import sys; from grpo_prm.figures import FIGURES; from figures.synthetic import log;"
        "from grpo_prm.figures import figure_tables;"
        "[FIGURES[n].draw(t) for n, t in figure_tables(log(groups=5)).items()];"
        "assert 'matplotlib.figure' in sys.modules; print('matplotlib.pyplot' in sys.modules)"
    )
    here = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env={"PYTHONPATH": here}
    )
    assert done.stdout.strip() == "False", done.stderr
