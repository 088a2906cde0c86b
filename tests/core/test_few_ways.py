"""Groups with few ways in the permutation null: each permutation gives what the way gives that it draws."""

from __future__ import annotations

import numpy as np
import pytest
from core.permuted_case import COPIES, DEEP, FEW, TREE, TWINS, Case, same, sums_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import forests

from grpo_prm.core import ways as module
from grpo_prm.core.draws import drawn
from grpo_prm.core.exchange import classes_of
from grpo_prm.core.permutations import Bounds, PermutedSums
from grpo_prm.core.ways import MOST, values_of, ways_of


def arranged(case, n, values):
    """The values of group n, advantages and perhaps rewards, in the ways that its permutations draw: lists of each."""
    opens, k = sum(len(one) for one in case.batch[:n]), len(case.batch[n])
    classes = classes_of(case.forest, values[:, case.forest.order])
    ways, rows = ways_of(classes, len(case.batch)), np.arange(opens, opens + k)
    every = values_of(ways, classes, np.array([n]), rows[None])
    chosen = drawn(case.seeds[n : n + 1], int(ways.number[n]), FEW)[0]
    lists = np.empty((len(values), FEW, k))
    for own, found in zip(lists, every, strict=True):
        own[:, case.forest.order[rows] - opens] = found[0][:, chosen].T
    return lists.tolist()


@settings(max_examples=40)
@given(forests(min_k=2, max_k=5, max_groups=3), st.integers(0, 2**64 - 20), st.booleans())
@example([DEEP], 4, True)
@example([TREE, TWINS, [Row([1], reward=1.0), Row([2], reward=1.0)]], 0, False)
def test_the_sums_are_those_of_the_ways_drawn(batch, seed, apart):
    case = Case(batch, [seed + n for n in range(len(batch))])
    rng = np.random.default_rng(seed)
    bounds = Bounds(*rng.uniform(0, 1, (2, len(case.forest.size))))
    rewards = case.rewards**2 if apart else None
    values = np.stack([case.advantages, case.advantages if rewards is None else rewards])
    found = case.sums(bounds=bounds, rewards=rewards)
    expected = [sums_of(case, n, *arranged(case, n, values), bounds, rewards) for n in range(len(batch))]
    same(PermutedSums(*(each[0] for each in found)), expected)


@pytest.mark.parametrize("few", [0, MOST])
def test_the_sums_of_a_bin_do_not_depend_on_other_bins(few, monkeypatch):
    """Not to the last bit, although the groups of all bins are worked out together."""
    monkeypatch.setattr(module, "MOST", few)
    batch = [TREE, TWINS, TREE[::-1], COPIES, TREE, TREE[1:], TWINS, DEEP, [*TREE, *TWINS]] * 12
    seeds, bins = np.arange(len(batch)) + 9, np.arange(len(batch)) % 5
    found = Case(batch, seeds).sums(bins=bins)
    for b in range(5):
        own = np.flatnonzero(bins == b)
        for one, alone in zip(found, Case([batch[n] for n in own], seeds[own]).sums(), strict=True):
            assert one[b].tobytes() == alone[0].tobytes()
