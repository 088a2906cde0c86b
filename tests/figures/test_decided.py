"""Where the outcome is decided: the table from rows and by hand, the drawing and the caption from the table."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import oracle
import polars as pl
import pytest
from canonical import batch_of
from core.test_decided import by_definition
from figures.synthetic import cleared, log
from figures.test_figures import assert_legible, draw, lines, tables
from hypothesis import assume, given, settings
from oracle_sets import Row
from strategies import logs

from grpo_prm.analysis.analyze import analyze
from grpo_prm.analysis.decided_table import SCHEMA
from grpo_prm.figures import captions, tables_of
from grpo_prm.figures.decided import make_table
from grpo_prm.figures.logs import join_logs
from grpo_prm.text.amounts import interval


@pytest.mark.slow
@settings(max_examples=50)
@given(logs(max_groups=3, max_k=5))
def test_points_are_sums_over_the_pairs_of_all_groups(rows):
    assume(any(len(group) > 1 for *_, group in rows))
    analysis = analyze([batch_of(rows)])
    assert analysis.decided.collect_schema() == SCHEMA
    expected = defaultdict(lambda: np.zeros(3))
    for g in oracle.analysed(rows):
        if not g.zero:
            for n in range(20):
                sums = by_definition(g.rows, g.a, lambda shared, shorter, n=n: 20 * shared > n * shorter)
                expected[g.run, "share", n / 20] += sums
            for tokens in (0, 1, 2, 4):
                expected[g.run, "tokens", tokens] += by_definition(g.rows, g.a, lambda shared, _, n=tokens: shared > n)
    found = {row[:3]: row[3:] for row in make_table(join_logs([analysis])).drop("low", "high", "n").rows()}
    assert set(found) == {key for key, (_, _, pairs) in expected.items() if pairs}
    for key, (mean, pairs) in found.items():
        assert pairs == expected[key][2]
        if mean is None:  # nothing can be permuted
            assert expected[key][0] == pytest.approx(expected[key][1], abs=1e-9)
            continue
        assert mean == pytest.approx((expected[key][0] - expected[key][1]) / pairs, abs=1e-9)


def test_a_log_whose_third_token_decides_and_its_band():
    """Of each prompt two pairs agree on two of four tokens and in reward: +1 (nearly) beside a null of -1/3."""
    ids = [[1, 1, 1, 1], [1, 1, 2, 2], [2, 2, 1, 1], [2, 2, 2, 2]]
    group = [Row(row, reward=float(row[0] == 1)) for row in ids]
    analysis = analyze([batch_of([("a", 0, f"p{n}", group) for n in range(25)])])
    table = make_table(join_logs([analysis])).filter(axis="share")
    (square,) = {round(g.a[0] ** 2, 9) for g in oracle.analysed([("a", 0, "p", group)])}
    assert table["point"].to_list() == [n / 20 for n in range(10)]
    assert table["mean"].to_list() == pytest.approx([square * 4 / 3] * 10)
    assert [*table["low"], *table["high"]] == pytest.approx([square * 4 / 3] * 20)  # all prompts are alike
    assert set(table["n"]) == {25} and set(table["pairs"]) == {50}


def test_where_nothing_can_be_permuted_there_is_a_gap():
    """All pairs share the first of five tokens, so nothing is left to permute at 0 to 15 %; one pair shares three."""
    group = [Row([1, n, n, n, n], reward=float(n % 2)) for n in (2, 3, 4)] + [Row([1, 2, 2, 5, 5], reward=1.0)]
    analysis = analyze([batch_of([("a", 0, f"p{n}", group) for n in range(25)])])
    joined = join_logs([analysis])
    made = tables_of(joined, ["decided"])
    share = made["decided"].filter(axis="share")
    assert share.filter(pl.col("mean").is_null())["point"].to_list() == [0, 0.05, 0.1, 0.15]
    assert share.filter(pl.col("mean").is_null())["pairs"].to_list() == [150] * 4
    assert share["low"].is_null().to_list() == share["mean"].is_null().to_list()
    assert share.filter(point=0.2)["pairs"].to_list() == [25] and share.filter(point=0.2)["mean"][0] < 0
    drawn = lines(draw("decided", made["decided"]).axes[0])["a"].get_ydata()
    assert np.isnan(drawn[:4]).all() and np.isfinite(drawn[4:]).all() and 0 not in drawn
    text = captions(made, joined.summaries, "token")["decided"]
    assert "nothing to permute where they share any of it (150 pairs)" in text
    assert "a gap where nothing can be permuted (0 to 15 %)" in text
    pair = analyze([batch_of([("a", 0, f"p{n}", group[:2]) for n in range(25)])])
    alone = join_logs([pair])
    made = tables_of(alone, ["decided"])
    assert made["decided"]["mean"].null_count() == len(made["decided"]) > 0
    assert "(from 0 % on)" in captions(made, alone.summaries, "token")["decided"]
    assert_legible(draw("decided", made["decided"]))


def test_groups_of_one_prompt_are_one_cluster():
    analysis = log(groups=40)
    table = make_table(join_logs([analysis]))
    assert table["low"].count() > 0
    start = pl.col("point") == 0
    analysis.groups = analysis.groups.with_columns(prompt_key=pl.format("p{}", pl.col("group") % 19))
    pooled = make_table(join_logs([analysis]))
    assert set(pooled.filter(start)["n"]) == {19} and pooled["low"].null_count() == len(pooled)
    assert pooled["mean"].to_list() == pytest.approx(table["mean"].to_list())
    assert pooled["pairs"].to_list() == table["pairs"].to_list()


def near(places):
    """The same to nine digits: a bar is drawn from its middle and its lengths."""
    return {(round(float(x), 9), round(float(y), 9)) for x, y in places}


@pytest.mark.parametrize("case", ["usual", "three runs"])
def test_lines_and_bands_hold_the_table(case):
    table = tables(case)["decided"]
    figure = draw("decided", table)
    for axes, axis in zip(figure.axes, ("share", "tokens"), strict=True):
        left, right = axes.get_xlim()
        for run in table["run"].unique():
            part = table.filter(axis=axis, run=run).sort("point")
            drawn = lines(axes)[run].get_xydata()
            np.testing.assert_array_equal(drawn, part.select("point", "mean").to_numpy())
            assert left < drawn[0, 0] and drawn[-1, 0] < right
            ends = [place for end in ("low", "high") for place in part.select("point", end).drop_nulls().rows()]
            shown = [place for drawn in axes.collections for path in drawn.get_paths() for place in path.vertices]
            assert near(ends) <= near(shown)
            # Where some point has no interval a band would be a patchwork: bars, or nothing, stand for it.
            assert any(band.get_facecolor().size for band in axes.collections) <= (table["low"].null_count() == 0)
    assert [axes.get_xlabel().split("\n")[0] for axes in figure.axes] == ["share of the path", "tokens"]
    assert figure.axes[0].xaxis.get_major_formatter()(0.5) == "50 %"
    assert figure.axes[1].xaxis.get_major_formatter()(4) == "4"


def test_one_point_is_drawn():
    table = tables("usual")["decided"].filter(pl.col("point") == 0)
    assert_legible(draw("decided", table))


def test_the_caption_has_the_beginning_and_the_middle():
    joined = join_logs([log()])
    made = tables_of(joined, ["decided"])
    text = captions(made, joined.summaries, "token")["decided"]
    share = made["decided"].filter(axis="share")
    (start,), (half,) = (share.filter(pl.col("point") == p).rows(named=True) for p in (0, 0.5))
    assert text.startswith("Where the outcome is decided: ")
    assert f"{interval(start)} where they share any of it ({start['pairs']:,} pairs)" in text
    assert f" and {interval(half)} where they share more than 50 % of it ({half['pairs']:,} pairs)" in text
    nothing = join_logs([cleared()])
    assert (
        "there is nothing to show" in captions(tables_of(nothing, ["decided"]), nothing.summaries, "token")["decided"]
    )
