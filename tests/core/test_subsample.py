"""Overlap of smaller groups: exactly the mean over all subsets, each analysed by the definitions."""

from __future__ import annotations

from itertools import combinations
from statistics import fmean

import numpy as np
import oracle_sets as oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import flatten, forests

from grpo_prm.core.forest import build_forest, depths, visits
from grpo_prm.core.subsample import subsampled, subset_sizes


def measured(batch):
    tokens, lengths, groups, mask = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    found = subsampled(forest, visits(forest, mask), groups, len(batch))
    rows = zip(*(column.tolist() for column in found), strict=True)
    return {(group, size): means for group, size, *means in rows}


def expected(group, m):
    """The mean over completions of the mean over the subsets of m that a completion is in."""
    every = list(combinations(range(len(group)), m))

    def mean(statistic):
        each = []
        for i in range(len(group)):
            values = [statistic([group[j] for j in s], s.index(i)) for s in every if i in s]
            if values[0] is not None:
                each.append(fmean(values))
        return fmean(each) if each else np.nan

    return [mean(s) for s in (oracle.path_depth, oracle.intermediate_proportion, oracle.shared_proportion)]


@given(st.sampled_from(["none", "role", "whole"]).flatmap(lambda mask: forests(mask, min_k=2, max_groups=3)))
def test_the_mean_over_all_subsets(batch):
    found = measured(batch)
    assert list(found) == [(g, m) for g, group in enumerate(batch) for m in subset_sizes(len(group))]
    for (g, m), means in found.items():
        assert means == pytest.approx(expected(batch[g], m), nan_ok=True, abs=1e-12)
        assert all(value >= 0 or np.isnan(value) for value in means)


def test_the_whole_group_is_itself_and_two_never_branch():
    group = [Row(ids) for ids in ([1, 2, 3], [1, 2, 4, 4], [1, 2], [1, 5], [6, 7], [6, 7])]
    found = measured([group])
    assert found[0, 6][0] == pytest.approx(9 / 6) and found[0, 6][1] == pytest.approx(4.6666667 / 6, abs=1e-6)
    assert found[0, 2][:2] == [0, 0] and found[0, 2][2] > 0.2


@pytest.mark.parametrize(
    ("k", "sizes"), [(2, [2]), (3, [2, 3]), (8, [2, 3, 4, 6, 8]), (36, [2, 3, 4, 6, 8, 12, 16, 24, 32, 36])]
)
def test_sizes_grow_by_a_half_and_a_third_and_end_with_k(k, sizes):
    assert subset_sizes(k) == sizes


def test_many_completions_do_not_overflow():
    rng = np.random.default_rng(0)
    batch = [[Row(rng.integers(0, 2, 12).tolist()) for _ in range(3000)]]
    found = measured(batch)
    values = np.array(list(found.values()))
    assert np.isfinite(values).all() and (values[:, 1:] <= 1).all()
    assert (np.diff(values[:, 2]) > 0).all()  # more company, more is shared


@given(forests(min_k=1))
def test_depth_is_the_number_of_branchings_above(batch):
    tokens, lengths, groups, _ = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    for n, depth in enumerate(depths(forest)):
        above, count = forest.parent[n], 0
        while above >= 0:
            above, count = forest.parent[above], count + 1
        assert count == depth
