"""Sums of a long log, chunk by chunk, against the same of one table in memory; and the error of blocks of clusters."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from analysis.test_ratios import close, groups_table
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from grpo_prm.analysis import chunks as module
from grpo_prm.analysis.chunks import added_up, chunks, counted, first_rows, largest
from grpo_prm.analysis.clusters import CLUSTER, ID, cluster_ids, find_clusters, ids_of
from grpo_prm.analysis.ratios import Sums
from grpo_prm.analysis.whole_log import add_by_cluster, log_intervals
from grpo_prm.core.interval import BLOCKS, block_of


def in_parts(table, cuts):
    """The table as lazy parts cut at some rows."""
    ends = [0, *sorted(min(cut, len(table)) for cut in cuts), len(table)]
    return [table[begin:end].lazy() for begin, end in pairwise(ends)]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.lists(st.integers(0, 60), max_size=5), st.integers(1, 20))
def test_chunks_do_not_depend_on_the_parts(rows, cuts, size):
    table = pl.DataFrame({"a": np.arange(rows), "b": [f"{n % 7}" for n in range(rows)], "c": 0})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CHUNK", size)
        parts = in_parts(table, cuts)
        found = list(chunks(parts, ["b", "a"]))
        assert [len(chunk) for chunk in found[:-1]] == [size] * (len(found) - 1) and 0 < len(found[-1]) <= size
        assert_frame_equal(pl.concat(found), table.select("b", "a"))
        some = pl.col("a") % 3 == 0
        assert pl.concat(chunks(parts, ["b"], some))["b"].to_list() == [f"{n % 7}" for n in range(0, rows, 3)]
        sums = added_up(parts, {"sum": pl.col("a").sum(), "rows": pl.col("b").len()}, some)
        assert sums == {"sum": sum(range(0, rows, 3)), "rows": len(range(0, rows, 3))}
        assert largest(parts, "a") == rows - 1
        assert counted(parts, "b") == {f"{n}": len(range(n, rows, 7)) for n in range(min(7, rows))}
        # Of equals those that stand first.
        three = first_rows(parts, ["a", "b"], lambda t: t.sort("b", descending=True, maintain_order=True).head(3))
        assert_frame_equal(three, table.select("a", "b").sort("b", descending=True, maintain_order=True).head(3))


@pytest.mark.parametrize(("rows", "prompts"), [(10, 4), (300, 80), (3000, 9000)])
def test_a_log_in_chunks_has_the_intervals_of_its_table(rows, prompts, monkeypatch):
    table = groups_table(rows, 5, prompts=prompts)
    expected = Sums(table, CLUSTER).intervals(3)
    named = table.with_columns(pl.Series(ID, ids_of(table)))
    for size in (97, 1 << 16):
        monkeypatch.setattr(module, "CHUNK", size)
        parts = in_parts(named, [50, 51, 900])
        found = log_intervals(parts, find_clusters(parts), 3)
        assert found.keys() == expected.keys()
        for name, interval in found.items():
            assert interval.n == expected[name].n
            assert close(interval[:3], expected[name][:3]), name
    many = table.select(CLUSTER).n_unique() > BLOCKS
    assert (find_clusters(in_parts(named, [5])).known is None) == many == (rows == 3000)


def test_of_few_clusters_the_sums_are_those_of_each_name():
    """To the last bit: what a log of ordinary size says does not change."""
    table = groups_table(400, 2, prompts=90)
    clusters = find_clusters(table)
    found = add_by_cluster(table, [pl.col("norm_0")], clusters)
    by_name = table.group_by(CLUSTER).agg("norm_0").sort(pl.struct(CLUSTER))
    expected = [np.add.reduceat(np.array(values), [0])[0] for values in by_name["norm_0"]]
    assert found.sums[:, 0].tolist() == expected
    assert found.clusters == len(by_name) == clusters.rows


def test_clusters_have_one_number_each_whatever_stands_beside_them():
    names = pl.DataFrame({"run": ["a", "a", "ab", "a", None], "prompt_key": ["bc", None, "c", "", "bc"]})
    names = names.with_columns(problem=pl.Series([None, None, None, None, "x"]))
    ids = cluster_ids(names)
    assert ids.n_unique() == len(names)  # no two lists of names read alike, and null is no name
    assert cluster_ids(names[::-1]).to_list() == ids.to_list()[::-1]
    assert ids_of(pl.concat([names, names])).tolist() == [*ids, *ids]
    spread = block_of(cluster_ids(pl.DataFrame({"key": [str(n) for n in range(1 << 15)]})).to_numpy())
    often = np.bincount(spread, minlength=BLOCKS)  # 16 a block; seven standard deviations of a fair draw
    assert len(often) == BLOCKS and often.max() <= 16 + 7 * 4 and (often > 0).mean() > 0.999


@pytest.mark.parametrize(("clusters", "blocks", "within"), [(6000, BLOCKS, 0.1), (2000, 512, 0.15)])
def test_blocks_give_the_intervals_of_the_clusters(clusters, blocks, within):
    """The error that docs/definitions.md states: of 2,048 blocks, and of 512 in a training step."""
    rng = np.random.default_rng(11)
    groups = np.repeat(np.arange(clusters), rng.integers(1, 4, clusters))  # a problem has one to three groups
    of_problem, alike = rng.normal(size=clusters)[groups], rng.normal(size=(3, len(groups)))
    tokens = rng.poisson(20 * np.exp(0.5 * of_problem)) + 1.0
    share = 1 / (1 + np.exp(-(of_problem + alike[0])))
    table = pl.DataFrame(
        {
            "run": "log",
            "prompt_key": [f"problem {n}" for n in groups],
            "problem": pl.Series([None] * len(groups), dtype=pl.String),
            "reward_mean": (rng.random(len(groups)) < share) * 1.0,
            "path_depth": np.exp(of_problem + 0.3 * alike[1]),  # skewed
            "suppressed_good_tokens": np.floor(tokens * share),
            "good_tokens": tokens,
        }
    )
    sums = Sums(table, CLUSTER, ("reward", "path_depth", "suppressed_good"))
    full, found = sums.intervals(0, most=1 << 13), sums.intervals(0, most=blocks)
    for name, (mean, low, high, n) in found.items():
        assert (mean, n) == (full[name].mean, full[name].n)  # the number of clusters is exact
        width = full[name].high - full[name].low
        assert high - low == pytest.approx(width, rel=within), name
        assert abs(low - full[name].low) < within * width and abs(high - full[name].high) < within * width, name
        assert (low, high) != full[name][1:3]  # these are resamples of blocks
