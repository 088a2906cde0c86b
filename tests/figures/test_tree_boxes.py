"""The boxes of a tree: every completion is a row without gap or overlap, as wide as its tokens."""

import math

import numpy as np
import polars as pl
import pytest
from canonical import table_of
from figures.synthetic import cleared, log, rollouts, worst_groups
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle import Row
from oracle_sets import process_sets
from strategies import groups

from grpo_prm.errors import UsageError
from grpo_prm.figures import captions, figure_tables
from grpo_prm.figures.group_tree import FAR, boxes
from grpo_prm.tree.view import group_tree


def boxes_of(rows):
    return boxes(group_tree(table_of([("a", 3, "p", rows)])))


@settings(max_examples=150)
@given(groups(min_k=2))
@example([Row([1] * 60, reward=1.0), Row([1] * 60 + [2], reward=0.0)])
def test_boxes_tile_the_rows_of_the_completions(rows):
    table = boxes_of(rows)
    steps, ends = table.filter(box="step"), table.filter(box="completion")
    wanted = sorted((s.start, s.end, len(s.members)) for s in process_sets(rows) if s.end > s.start)
    assert sorted(steps.select("start", "end", "size").rows()) == wanted
    lengths = [end - start for start, end, _ in wanted]
    root = bool(lengths) and max(lengths) > FAR * min(lengths)
    assert set(table["scale"]) <= {"root" if root else "linear"}
    assert sorted(ends["y0"]) == list(range(len(rows)))  # each row once
    for end in ends.rows(named=True):
        own = rows[end["sample"]]
        path = steps.filter(pl.col("y0") <= end["y0"], pl.col("y1") > end["y0"]).sort("x0")
        assert path["start"].to_list() == [0, *path["end"].to_list()][: len(path)]
        assert path["x0"].to_list() == [0, *path["x1"].to_list()][: len(path)]
        assert (path["end"].to_list() or [0])[-1] == len(own.tokens) == end["end"]
        assert (path["x1"].to_list() or [0.0])[-1] == end["x1"] and end["reward"] == own.reward
    for box in steps.rows(named=True):
        length = box["end"] - box["start"]
        assert box["x1"] - box["x0"] == pytest.approx(length**0.5 if root else length)
        assert box["y1"] - box["y0"] == box["size"]


@pytest.mark.parametrize(("longest", "scale"), [(FAR, "linear"), (FAR + 1, "root")])
def test_widths_are_square_roots_where_one_step_would_hide_the_others(longest, scale):
    table = boxes_of([Row([1] + [2] * longest, reward=1.0), Row([1, 3], reward=0.0)])
    assert set(table["scale"]) == {scale}


def test_the_better_branch_stands_above():
    table = boxes_of([Row([1, 2], reward=0.0), Row([1, 3], reward=1.0), Row([4], reward=0.5)])
    order = table.filter(box="completion").sort("y0")["sample"].to_list()
    assert order == [1, 0, 2] or order == [2, 1, 0]
    branches = table.filter(box="step", start=1).sort("y0")
    assert branches["advantage"].to_list() == sorted(branches["advantage"].to_list(), reverse=True)


def test_an_advantage_of_rounding_is_none():
    rows = [Row([1, 2], reward=None, advantage=1.0), Row([1, 3], reward=None, advantage=-1.0 + 1e-8)]
    tree = boxes(group_tree(table_of([("a", 0, "p", rows)])))
    assert tree.filter(box="step", size=2)["advantage"].to_list() == [0.0]


def test_marks_are_where_good_is_pushed_down_and_bad_is_raised():
    rows = [Row([1, 2], reward=1.0), Row([1, 3], reward=0.0), Row([1, 4], reward=0.0), Row([5], reward=1.0)]
    rows += [Row([6, 1], reward=1.0), Row([6, 2], reward=1.0), Row([6, 3], reward=0.0)]
    marks = {row[:2]: row[2] for row in boxes_of(rows).filter(box="step").select("size", "start", "mark").rows()}
    by_first = boxes_of(rows).filter(box="step", start=0).select("advantage", "mark").rows()
    assert {mark for a, mark in by_first if a < 0} == {"suppressed-good"}
    assert {mark for a, mark in by_first if a > 0} == {"boosted-bad", None}  # of the pure branch none
    assert marks[1, 1] is None


def test_the_worst_group_is_drawn_else_the_first_or_the_one_asked_for():
    analysis = log()
    other = rollouts("base", 7).with_columns(group=pl.lit(9, pl.Int64), group_key=pl.lit("p9"))
    analysis.samples = pl.concat([other, analysis.samples])
    assert figure_tables(analysis)["group_tree"]["group_key"][0] == "p0"
    assert figure_tables(analysis, group="7:p9")["group_tree"]["group_key"][0] == "p9"
    analysis.summary["defects"]["worst_groups"] = worst_groups()
    assert figure_tables(analysis)["group_tree"]["group_key"][0] == "p9"
    gone = {"run": "gone", "step": 1, "group_key": "p"}
    analysis.summary["defects"]["worst_groups"] = worst_groups(gone)
    assert figure_tables(analysis)["group_tree"]["group_key"][0] == "p9"
    with pytest.raises(UsageError, match=r"No group with text is called 8:p9.*7:p9"):
        figure_tables(analysis, group="8:p9")
    with pytest.raises(UsageError, match="kept no group"):
        figure_tables(cleared(), group="7:p9")


def test_a_group_without_a_step_is_found():
    analysis = log(steps=(None,), intervals=False)
    assert figure_tables(analysis)["group_tree"]["step"][0] is None


def test_batch_advantages_are_those_of_the_analysis():
    analysis = log()
    analysis.summary["source"]["options"]["std"] = "batch"
    analysis.completions = pl.DataFrame({"group": [0] * 4, "sample": range(4), "advantage": [4.0, -2.0, -1.0, -1.0]})
    table = figure_tables(analysis)["group_tree"]
    found = dict(table.filter(box="completion").select("sample", "advantage").rows())
    assert found == {0: 4.0, 1: -2.0, 2: -1.0, 3: -1.0}
    step = table.filter(box="step", size=2)
    assert step["advantage"].to_list() == [1.0] and step["text"].to_list() == ["3;"]


@given(st.integers(0, 3))
def test_steps_without_tokens_are_left_out(empty):
    rows = [Row([], reward=0.0)] * empty + [Row([1], reward=1.0), Row([2], reward=0.0)]
    table = boxes_of(rows)
    assert (table.filter(box="step")["end"] > table.filter(box="step")["start"]).all()
    assert len(table.filter(box="completion")) == len(rows) == table["k"][0]
    assert np.isfinite(table.select("x0", "x1", "y0", "y1").to_numpy()).all()


def test_colours_are_those_of_the_whole_log_whichever_group_is_drawn():
    analysis = log()
    steps = analysis.process_steps.lazy().collect()
    sizes = sorted(abs(a) for a, inside in steps.select("advantage", "tokens").rows() if inside and a is not None)
    limit = sizes[math.ceil(0.99 * (len(sizes) - 1))]
    table = figure_tables(analysis)["group_tree"]
    assert set(table.select("limit", "most").rows()) == {(limit, sizes[-1])} and limit > 0
    caption = captions({"group_tree": table}, {"a": analysis.summary}, "token")["group_tree"]
    inside = f" (99 % of the steps in the loss within ±{limit:.3g})" if sizes[-1] > limit else ""
    assert f"colour by step advantage A on one scale for the whole log{inside}, rewards" in caption
    analysis.process_steps = steps.with_columns(advantage=pl.lit(1e-17))
    assert figure_tables(analysis)["group_tree"]["limit"][0] == 0
