"""Reliability by hand, from simulated draws, and group by group against the definition."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracle_sets import Row
from strategies import column, flatten, forests

from grpo_prm.core.groups import Groups
from grpo_prm.core.reliability import reliability_sums, step_noise

# Four open with 1; three of them go on with 2, where one ends; the last two are the same.
SIX = [[1, 2, 3], [1, 2, 4, 4], [1, 2], [1, 5], [6, 7], [6, 7]]


def groups_of(batch, *, advantages=None, logged=False):
    """`Groups` of oracle rows: advantages from the rewards unless they are given."""
    tokens, lengths, groups, mask = flatten(batch)
    lists = np.split(tokens, np.cumsum(lengths)[:-1]) if len(lengths) else []
    masks = None if mask is None else np.split(mask, np.cumsum(lengths)[:-1])
    made = Groups.of(lists, column(batch, "reward"), groups, masks, advantages=advantages)
    made.__dict__["logged"] = logged
    return made


def one(tokens, rewards, masks=None):
    """Sums of one group whose advantages are its centred rewards."""
    masks = masks or [None] * len(tokens)
    rows = [Row(ids, mask, r) for ids, mask, r in zip(tokens, masks, rewards, strict=True)]
    found = reliability_sums(groups_of([rows], advantages=np.array(rewards) - np.mean(rewards)))
    return {name: values.item() for name, values in found.items()}


def test_six_completions_by_hand():
    # A: 1 -1/2 (3, -2, -1, -2 inside; 4, -2 outside), 12 is 0 (3, -2, -1 inside), 67 is 1 (4, -2 inside).
    a = [3.0, -2.0, -1.0, -2.0, 4.0, -2.0]
    first = (2 / 6) ** 2 * ((17 / 3) / 4 + 18 / 2)  # mean -1/2: squares 12.25 + 2.25 + .25 + 2.25 = 17
    second = (3 / 6) ** 2 * (7 / 3 + 12 / 3)  # squares 14 / 2 inside; outside -2, 4, -2: 24 / 2
    copies = (4 / 6) ** 2 * (18 / 2 + (17 / 3) / 4)
    squares = 4 * 0.25 + 3 * 0 + 4 * 1
    assert one(SIX, a) == pytest.approx({
        "squared_sum": squares,
        "reliable_sum": squares - 4 * first - 3 * second - 4 * copies,
    })  # fmt: skip


def test_one_completion_outside_takes_the_variance_inside():
    found = one([[1, 2], [1, 3], [1, 4], [5]], [1.0, 0.0, 2.0, -3.0])  # 1 is A = 1 of three: s² = 1
    assert found == pytest.approx({"squared_sum": 3.0, "reliable_sum": 3.0 - 3 / 16 * (1 / 3 + 1)})


def test_only_tokens_in_the_loss_count_but_every_member_does():
    a = [1.0, 0.0, 0.0, -1.0]
    found = one([[1, 2], [1, 3], [4, 5], [4, 6]], a, [[True, True], [False] * 2, [False] * 2, [False] * 2])
    noise = 0.25 * (0.5 / 2 + 0.5 / 2)
    assert found == pytest.approx({"squared_sum": 0.25, "reliable_sum": 0.25 - noise})


def test_sets_without_noise_are_wholly_reliable():
    found = one([[1, 2], [1, 3], [4, 5], [4, 6]], [1.0, 1.0, 0.0, 0.0])
    assert found["squared_sum"] == found["reliable_sum"] == 4 * 0.25


def test_where_nothing_is_between_or_rewards_are_equal_all_is_0():
    for tokens, rewards in (
        ([[1, 2], [1, 3]], [1.0, 0.0]),  # two
        ([[1, 2], [1, 3], [1, 4]], [1.0, 0.0, 0.0]),  # the root alone
        ([[1, 2], [1, 3], [4]], [2.0, 2.0, 2.0]),
        ([[1], [2], [3]], [1.0, 0.0, 0.0]),
    ):
        assert one(tokens, rewards) == {"squared_sum": 0.0, "reliable_sum": 0.0}


def test_roots_and_single_completions_have_no_noise():
    groups = groups_of([[Row(ids, None, float(n)) for n, ids in enumerate(SIX)], [Row([1], None, 1.0)]])
    assert ((step_noise(groups) > 0) == groups.forest.intermediate).all()


@pytest.mark.parametrize("offset", [0.0, 1e6, -1e6])
def test_an_offset_of_logged_advantages_costs_no_digits(offset):
    """Noise is of differences: that of a + offset is that of a."""
    rng = np.random.default_rng(3)
    a = np.round(rng.normal(size=8), 3)
    rows = [Row([n // 4, n // 2 % 2, n], None, value) for n, value in enumerate(a)]
    groups = groups_of([rows], advantages=a + offset)
    found = step_noise(groups)
    for at in np.flatnonzero(groups.forest.intermediate):
        inside = frozenset(groups.forest.order[groups.forest.first[at] :][: groups.forest.size[at]].tolist())
        assert found[at] == pytest.approx(oracle.step_noise(a.tolist(), inside), rel=1e-7)


def test_what_is_reliable_is_the_squared_true_difference():
    """Branches of known values, sampled: on average A² - noise is that of the values of the branch and the others."""
    rng, values = np.random.default_rng(0), np.array([0.3, 0.5, 0.9])
    k, number = 12, 4_000
    branch = rng.integers(0, 3, (number, k))
    rewards = (rng.random((number, k)) < values[branch]).astype(float)
    tokens = np.stack([branch, np.arange(number * k).reshape(number, k) + 3], axis=2).reshape(-1, 2)
    a = rewards - rewards.mean(axis=1, keepdims=True)
    groups = Groups.of(list(tokens), rewards.ravel(), k, advantages=a.ravel())
    sums, forest = reliability_sums(groups), groups.forest
    own = tokens[forest.order[forest.first], 0]  # the branch of each step
    others = (values.sum() - values[own.clip(max=2)]) / 2
    true = (1 - forest.size / k) ** 2 * (values[own.clip(max=2)] - others) ** 2
    share = (forest.size * true)[forest.intermediate].sum() / sums["squared_sum"].sum()
    assert sums["reliable_sum"].sum() / sums["squared_sum"].sum() == pytest.approx(share, abs=0.015)
    assert 0.5 < share < 0.7  # far from 0 and 1, which much else would give


@given(forests(), st.booleans())
@example([], False)
@example([[Row(ids, None, float(n % 3)) for n, ids in enumerate(SIX)], [Row([1], None, 2.0)]], False)
@example([[Row(ids, None, 7.0 + n) for n, ids in enumerate(SIX)], [Row([1, n], None, 2.0) for n in range(4)]], True)
def test_every_group_has_what_the_definition_gives(batch, given_ones):
    rewards = column(batch, "reward")
    found = reliability_sums(groups_of(batch, advantages=rewards * 2 - 1 if given_ones else None, logged=given_ones))
    for n, group in enumerate(batch):
        r = [row.reward for row in group]
        zero = oracle.zero_variance(r)
        a = [0.0 if zero else 2 * x - 1 for x in r] if given_ones else oracle.group_advantages(r)
        tol = oracle.tolerance(a, given_ones)
        a = [x if abs(x) > tol else 0.0 for x in a]
        expected = oracle.reliability_sums(oracle.Analysed("", 0, "", group, a, tol, zero))
        assert (found["squared_sum"][n], found["reliable_sum"][n]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert all(len(values) == len(batch) and math.isfinite(values.sum()) for values in found.values())
