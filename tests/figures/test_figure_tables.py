"""The data of the older figures, against the plain definition in Python."""

import math
from collections import defaultdict
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from figures.synthetic import log
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.figures import FIGURES, figure_tables
from grpo_prm.figures.advantage_by_position import BIN
from grpo_prm.figures.advantage_by_position import make_table as by_position
from grpo_prm.figures.overlap_over_groups import CURVE
from grpo_prm.figures.overlap_over_groups import make_table as over_groups


def test_there_is_a_table_for_every_figure_in_the_order_of_the_figures():
    assert list(figure_tables(log())) == list(FIGURES)
    assert list(figure_tables(log(), select=["informativeness", "overlap_by_k"])) == ["overlap_by_k", "informativeness"]
    with pytest.raises(KeyError, match="no figure is called pie"):
        figure_tables(log(), select=["pie", "overlap_by_k"])


def test_series_come_from_their_statistic_and_the_null_from_its_row():
    analysis = log(runs=("a", "b"))
    made, training = figure_tables(analysis), analysis.training
    for row in made["overlap_over_training"].rows(named=True):
        name = ("baseline_" if row["series"] == "baseline" else "") + row["statistic"]
        (source,) = training.filter(run=row["run"], step=row["step"], statistic=name).rows(named=True)
        assert [row[c] for c in ("mean", "low", "high", "n")] == [source[c] for c in ("mean", "low", "high", "n")]
        assert row["first"] == row["last"] == row["step"] and row["steps"] == 1
    assert len(made["overlap_over_training"]) == len(made["defects_over_training"]) == 4 * 2 * 25
    for row in made["defects_over_training"].filter(series="null").rows(named=True):
        (source,) = training.filter(run=row["run"], step=row["step"], statistic=row["statistic"]).rows(named=True)
        assert [row[c] for c in ("mean", "low", "high")] == [source[f"null_{c}"] for c in ("mean", "low", "high")]


def test_the_null_may_be_missing_or_only_a_range():
    assert set(figure_tables(log(null=False))["defects_over_training"]["series"]) == {"observed"}
    analysis = log()
    analysis.training = analysis.training.with_columns(null_mean=pl.lit(None, pl.Float64))
    null = figure_tables(analysis)["defects_over_training"].filter(series="null")
    assert null["mean"].null_count() == len(null) == 50 and null["low"].null_count() == 0


def test_lazy_frames_give_the_same_tables():
    lazy = log(groups=40)
    held = figure_tables(lazy)
    for name, table in vars(lazy).items():
        if name != "summary":
            setattr(lazy, name, table.lazy())
    made = figure_tables(lazy)
    assert all(table.equals(made[name]) for name, table in held.items())


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 9)), max_size=40))
def test_a_curve_is_the_distribution_function(values):
    frame = pl.DataFrame(
        {"run": "r", "path_depth": values, "intermediate_proportion": values},
        schema={"run": pl.String, "path_depth": pl.Float64, "intermediate_proportion": pl.Float64},
    )
    table = over_groups(SimpleNamespace(groups=frame, baseline=frame.clear()))
    kept = sorted(v for v in values if v is not None)
    points = [(kept[0], 0.0)] if kept else []
    points += [(v, sum(w <= v for w in kept) / len(kept)) for v in sorted(set(kept))]
    assert table.filter(statistic="path_depth").select("value", "share").rows() == points
    assert set(table["n"]) <= {len(kept)} and set(table["series"]) <= {"observed"}


def test_a_long_curve_is_thinned_along_itself():
    values = np.random.default_rng(0).normal(size=5000)
    frame = pl.DataFrame({"run": "r", "path_depth": values, "intermediate_proportion": values})
    table = over_groups(SimpleNamespace(groups=frame, baseline=frame.clear())).filter(statistic="path_depth")
    assert CURVE / 2 < len(table) <= CURVE + 2
    for value, share in table.select("value", "share").rows()[1:]:
        assert share == (values <= value).mean()
    assert np.diff(table["share"]).max() < 3 / CURVE and table["value"][-1] == values.max()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from("ab"),
            st.integers(0, 6),
            st.integers(0, 30),
            st.integers(1, 4),
            st.integers(0, 2),
            st.one_of(st.none(), st.just(math.nan), st.floats(-2, 2)),
            st.booleans(),
        ),
        max_size=200,
    )
)
def test_bins_hold_every_intermediate_step_once(rows):
    names = {
        "run": pl.String,
        "group": pl.Int64,
        "start": pl.Int64,
        "size": pl.Int64,
        "tokens": pl.Int64,
        "advantage": pl.Float64,
        "zero_variance": pl.Boolean,
    }
    process_steps = pl.LazyFrame(rows, names, orient="row").with_columns(k=pl.lit(4, pl.Int64))
    table = by_position(SimpleNamespace(process_steps=process_steps))
    kept = defaultdict(list)
    for run, group, start, size, tokens, advantage, flat in rows:
        if 1 < size < 4 and tokens and not flat and advantage is not None and not math.isnan(advantage):
            kept[run].append((start + 1, advantage, group))
    assert set(table["run"]) == set(kept)
    for run, steps in kept.items():
        part = table.filter(run=run)
        assert part["steps"].sum() == len(steps)
        if len(steps) < 2 * BIN:
            assert (
                sorted(part.select("first", "median").rows()) == sorted(s[:2] for s in steps)
                and (part["steps"] == 1).all()
            )
            continue
        assert (part["first"][1:] > part["last"][:-1]).all()  # steps of one position stay together
        for row in part.rows(named=True):
            inside, held = zip(*((a, g) for at, a, g in steps if row["first"] <= at <= row["last"]), strict=True)
            assert len(inside) == row["steps"] and len(set(held)) == row["groups"]
            wanted = np.quantile(inside, [0.05, 0.25, 0.5, 0.75, 0.95])
            np.testing.assert_allclose([row[q] for q in ("q05", "q25", "median", "q75", "q95")], wanted, atol=1e-12)


def test_bins_are_about_equally_full():
    table = figure_tables(log())["advantage_by_position"]
    assert len(table) > 8 and table["steps"].min() > table["steps"].mean() / 3
