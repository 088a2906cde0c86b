"""Overlap by k and the ratios of many parts: sums and resamples done again one by one."""

import numpy as np
import polars as pl
import pytest
from figures.synthetic import log
from hypothesis import given, settings
from hypothesis import strategies as st

from grpo_prm.core.interval import FEW_CLUSTERS
from grpo_prm.figures import figure_tables
from grpo_prm.figures.intervals import ratio_intervals
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.overlap_by_k import make_table as by_k


@settings(max_examples=40)
@given(st.integers(0, 60), st.integers(1, 3), st.integers(0, 5))
def test_ratios_and_their_percentiles(groups, parts, seed):
    rng = np.random.default_rng(seed)
    tops, bottoms = rng.random((groups, parts)), rng.integers(0, 3, (groups, parts)).astype(float)
    clusters = rng.integers(0, 25, groups)
    clusters = np.unique(clusters, return_inverse=True)[1]
    number = len(set(clusters.tolist()))
    drawn = np.random.default_rng([seed, number]).integers(0, number, (2000, number)) if number else None
    for part, found in enumerate(ratio_intervals(tops, bottoms, clusters, seed)):
        above, below = ([column[clusters == c, part].sum() for c in range(number)] for column in (tops, bottoms))
        assert found.n == sum(b > 0 for b in below)
        if not found.n:
            assert found.mean is found.low is found.high is None
            continue
        assert found.mean == pytest.approx(sum(above) / sum(below))
        if found.n < FEW_CLUSTERS:
            assert found.low is found.high is None
            continue
        sums = np.array(above)[drawn].sum(axis=1), np.array(below)[drawn].sum(axis=1)
        ratios = sums[0][sums[1] > 0] / sums[1][sums[1] > 0]
        assert (found.low, found.high) == pytest.approx(tuple(np.percentile(ratios, [2.5, 97.5])))


def test_overlap_by_k_is_a_mean_over_the_groups_that_have_the_size():
    small, large = log(groups=30), log(runs=("base",), groups=25, seed=1)
    large.subsamples = large.subsamples.with_columns(k=pl.lit(12, pl.Int64), group=pl.col("group") + 30,
                                                     prompt_key=pl.col("prompt_key") + "x")  # fmt: skip
    extra = large.subsamples.filter(size=8).with_columns(size=pl.lit(12, pl.Int64), path_depth=pl.col("path_depth") + 1)
    small.subsamples = pl.concat([small.subsamples, large.subsamples, extra])
    table = by_k(join_logs([small]))
    for row in table.rows(named=True):
        part = small.subsamples.filter(size=row["size"])
        assert row["mean"] == pytest.approx(part[row["statistic"]].mean())
        assert row["groups"] == row["n"] == len(part) == (25 if row["size"] == 12 else 55)
        assert row["whole"] == {8: 30, 12: 25}.get(row["size"], 0)
        assert row["low"] <= row["mean"] <= row["high"]
    assert table["size"].unique().sort().to_list() == [2, 3, 4, 6, 8, 12]


def test_groups_of_one_prompt_are_one_cluster_and_nulls_have_no_say():
    analysis = log(groups=30)
    twice = analysis.subsamples.with_columns(group=pl.col("group") + 30)
    analysis.subsamples = pl.concat([analysis.subsamples, twice])
    assert set(by_k(join_logs([analysis]))["n"]) == {30}
    known = pl.col("group") % 30 < 7
    analysis.subsamples = analysis.subsamples.with_columns(pl.when(known).then("path_depth").alias("path_depth"))
    depth = figure_tables(analysis)["overlap_by_k"].filter(statistic="path_depth")
    assert set(depth["n"]) == {7} and depth["low"].null_count() == len(depth)
