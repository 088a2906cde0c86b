"""Leave-pair-out AUC: every pair of every group by the definition, over sets."""

from __future__ import annotations

import numpy as np
import oracle
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import TOP, column, flatten, forests

from grpo_prm.core import pair_order as module
from grpo_prm.core.distinct import distinct
from grpo_prm.core.forest import build_forest, visits
from grpo_prm.core.pair_order import observed_order, pair_order

PERMUTATIONS = 4
ABOVE = [Row([1, 1, 1], reward=1.0), Row([1, 1, 2], reward=0.0), Row([1, 2], reward=0.0), Row([2], reward=1.0)]
ONE_SIDE = [Row([1, 1], reward=1.0), Row([1, 2], reward=0.0), Row([3], reward=1.0), Row([], reward=0.0)]
COPIES = [
    *(Row([1, 1, 5], reward=r) for r in (1.0, 0.0)),  # a verifier that does not agree with itself
    *(Row([1, 1, 6], reward=r) for r in (0.0, 0.0, 0.5)),
    *(Row([1, 7], reward=r) for r in (1.0, 0.25)),
    Row([2], reward=0.0),
]
# The deepest set is out of the loss, so the one above it scores.
MASKED = [
    Row([1, 5, 1], [True, False, True], 1.0),
    Row([1, 5, 2], [True, False, True], 0.0),
    Row([1, 5, 3], [True, False, True], 0.0),
    Row([1, 6], [True, True], 1.0),
    Row([2], [True], 0.0),
]


class Case:
    """Groups of rows as arrays."""

    def __init__(self, batch):
        tokens, lengths, self.groups, mask = flatten(batch)
        self.batch = batch
        self.forest = build_forest(tokens, lengths, self.groups)
        self.seen, self.classes = visits(self.forest, mask), distinct(self.forest)
        self.root = np.flatnonzero(self.forest.parent < 0)
        self.arrays = (self.forest, self.seen, self.classes)

    def of_size(self, k):
        """Groups of k, and the values of their rows in tree order from values of all completions."""
        groups = np.flatnonzero(self.forest.size[self.root] == k)
        rows = self.forest.order[self.forest.first[self.root[groups], None] + np.arange(k)]
        return groups, rows


def by_definition(case, g, values, tol=0.0):
    return oracle.pair_order(case.batch[g], values[case.groups == g].tolist(), tol)


def assert_order(batch, values, tol=0.0):
    """`values`: of all completions, shape (completions, permutations)."""
    case = Case(batch)
    for k in {len(group) for group in batch}:
        groups, rows = case.of_size(k)
        found = pair_order(*case.arrays, case.root[groups], values[rows], np.full(len(groups), tol))
        for n, g in enumerate(groups):
            for p in range(values.shape[1]):
                own = by_definition(case, g, values[:, p], tol)
                assert (found.right[n, p], found.counted[n, p]) == own


@pytest.mark.slow
@settings(max_examples=150)
@given(forests(min_k=2, max_k=8), st.integers(0, 9))
@example([ABOVE], 0)
@example([ONE_SIDE], 0)
@example([COPIES], 0)
@example([MASKED], 0)
@example([[Row([3, TOP]), Row([3, TOP]), Row([3, 1]), Row([3, 1])]], 0)  # a pair that is the whole group
def test_every_pair_by_the_definition(batch, seed):
    rng = np.random.default_rng(seed)
    observed = column(batch, "reward") if batch else np.zeros(0)
    observed = np.where(np.isnan(observed), rng.integers(0, 2, len(observed)), observed)
    columns = [observed, *(rng.permutation(observed) for _ in range(PERMUTATIONS - 1)), rng.normal(size=len(observed))]
    assert_order(batch, np.array(columns).T.reshape(len(observed), len(columns)))


def branching(rng, k, cut=3):
    """Rows that leave an earlier one somewhere: deep trees with copies."""
    rows = [rng.integers(0, 2, 8).tolist()]
    while len(rows) < k:
        base, at = rows[rng.integers(len(rows))], rng.integers(0, 9)
        rows.append(base[:at] + rng.integers(0, cut, 8 - at).tolist() if rng.random() < 0.8 else base)
    return [Row(row, reward=float(rng.integers(0, 2))) for row in rows]


@pytest.mark.parametrize(
    ("name", "value"),
    [("BLOCK", 1), ("BLOCK", module.BLOCK), ("CACHE", 1), ("SMALL", 1), ("SMALL", 17 * 2 * 5), ("CHUNK", 7)],
)
def test_groups_of_more_pairs_than_are_evaluated_at_a_time(name, value, monkeypatch):
    monkeypatch.setattr(module, name, value)
    rng = np.random.default_rng(0)
    batch = [branching(rng, k) for k in (17, 5, 17)]
    assert_order(batch, rng.integers(0, 2, (39, 2)).astype(float))


def test_hundreds_of_right_pairs_add_up():
    """Branches of two that fare alike: each tells where the other stands among the rest, so all pairs are in order."""
    group = [Row([branch, n], reward=float(branch)) for branch in range(12) for n in range(2)]
    case = Case([group])
    found = observed_order(*case.arrays, column([group], "reward"), np.zeros(1), np.ones(1, bool))
    assert (found.right.tolist(), found.counted.tolist()) == ([264.0], [264.0])


def test_the_deepest_set_of_others_decides():
    """0, 1 and 2 share the step 1 1, these with 3 and 4 the step 1; counted by hand.

    0 beside 1 and beside 2: the third failed for both, ties. 0 beside 5: 0 against .5, wrong. 3 and 4 beside 1 and 2:
    2/3 against .5, right four times; beside 5 both have the same four rows, ties.
    """
    rewards = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0]
    ids = [[1, 1, 1], [1, 1, 2], [1, 1, 3], [1, 4], [1, 5], [2]]
    case = Case([[Row(row, reward=r) for row, r in zip(ids, rewards, strict=True)]])
    found = observed_order(*case.arrays, np.array(rewards), np.zeros(1), np.ones(1, bool))
    assert (found.right[0], found.counted[0]) == by_definition(case, 0, np.array(rewards)) == (6.0, 9)


@pytest.mark.parametrize(("difference", "right"), [(0.4e-9, 0.5), (0.6e-9, 1.0), (-0.6e-9, 0.0)])
def test_score_differences_are_rounded(difference, right):
    """The first of a pair goes with a row that is better by so much than the row with which the second goes."""
    group = [Row([1, 1]), Row([1, 2]), Row([2, 1]), Row([2, 2])]
    values = np.array([1.0, 0.5 + difference, 0.0, 0.5])
    case = Case([group])
    found = observed_order(*case.arrays, values, np.full(1, 0.6), np.ones(1, bool))
    assert (found.right[0], found.counted[0]) == (right, 1)


@pytest.mark.parametrize(("tolerance", "counted"), [(0.0, 4), (0.4, 4), (0.5, 4 - 2), (0.6, 2), (1.0, 0)])
def test_values_within_the_tolerance_are_equal(tolerance, counted):
    """Values 0, .5, 1, 1 of a tree in which all pairs but one have a set: the tolerance is of each group."""
    group = [Row([1, 1]), Row([1, 2]), Row([2, 1]), Row([3])]
    case = Case([group, group])
    values = np.tile([0.0, 0.5, 1.0, 1.0], 2)
    found = observed_order(*case.arrays, values, np.array([tolerance, 0.0]), np.ones(2, bool))
    assert found.counted.tolist() == [counted, 4]


def test_groups_left_out_and_flat_trees_have_no_pairs():
    flat = [Row([n], reward=float(n)) for n in range(4)]
    case = Case([ABOVE, ABOVE, flat])
    values = column([ABOVE, ABOVE, flat], "reward")
    found = observed_order(*case.arrays, values, np.zeros(3), np.array([False, True, True]))
    assert found.counted.tolist() == [0, by_definition(case, 1, values)[1], 0] and found.counted[1] > 0
    assert found.right[0] == found.right[2] == 0
    empty = Case([])
    assert observed_order(*empty.arrays, np.zeros(0), np.zeros(0), np.zeros(0, bool)).right.shape == (0,)


def test_the_share_of_right_pairs_of_noise_is_a_half():
    """Where nothing is known of a pair's values the mean is .5, on rare rewards too."""
    rng = np.random.default_rng(0)
    batch = [branching(rng, 6, 2) for _ in range(40)]
    case = Case(batch)
    groups, rows = case.of_size(6)
    # Values belong to texts: copies have one.
    of_class = (rng.random((case.classes.max() + 1, 400)) < 0.2).astype(float)
    values = of_class[case.classes][np.argsort(case.forest.order)]
    found = pair_order(*case.arrays, case.root[groups], values[rows], np.zeros(len(groups)))
    each = found.right.sum(axis=0) / found.counted.sum(axis=0)
    assert abs(each.mean() - 0.5) < 4 * each.std() / np.sqrt(len(each))


@pytest.mark.parametrize("scale", [1e10, 1e-3])
def test_the_unit_of_the_rewards_changes_no_order(scale):
    """Rounding of the means of large rewards must not decide ties."""
    rng = np.random.default_rng(3)
    for _ in range(40):
        case = Case([[Row(rng.integers(0, 2, rng.integers(1, 5)).tolist()) for _ in range(8)]])
        rewards = rng.integers(0, 4, 8) / 3
        one, other = (
            observed_order(*case.arrays, r, 1e-12 * r.max(keepdims=True), np.ones(1, bool))
            for r in (rewards, scale * rewards)
        )
        assert (one.right[0], one.counted[0]) == (other.right[0], other.counted[0])
