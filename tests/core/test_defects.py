"""The defect's sums by hand on small groups, and group by group against the definitions."""

from __future__ import annotations

import math

import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracle_sets import Row, identical, intermediate_tokens, loss_tokens, process_sets, unique_loss_tokens
from strategies import column, flatten, forests

from grpo_prm.core.defects import POWERS, defect_sums, local_advantages
from grpo_prm.core.forest import build_forest
from grpo_prm.core.groups import Groups
from grpo_prm.core.prm import beyond, group_advantages, signs, zero_tolerance, zero_variance

# Four open with 1; three of them go on with 2, where one ends; the last two are the same.
SIX = [[1, 2, 3], [1, 2, 4, 4], [1, 2], [1, 5], [6, 7], [6, 7]]
GAINS = [3.0, -2.0, -1.0, -2.0, 4.0, -2.0]  # A: 1 -1/2, 12 exactly 0, 3 is 3, 44 is -2, 5 is -2, 67 is 1
BY_HAND = {
    "good_tokens": 3 + 2,
    "suppressed_good_tokens": 1,  # the 1 of the first; its 2 has A = 0
    "bad_tokens": 4 + 2 + 2 + 2,
    "boosted_bad_tokens": 2,  # 67 of the last
    "abs_tokens": 4 / 2 + 0 + 3 + 2 * 2 + 2 + 4 * 1,
    "abs_unique": 1 / 2 + 0 + 3 + 2 * 2 + 2 + 2 * 1,
    "informative_sum": 4 / 2 + 0,  # 67 is identical to the end
    "informative_tokens": 4 + 3,
    "inherited_tokens": 0,  # the root has A = 0, 12 has none
    "contest_sum": 4 * (1 - 2 / 8) + 3 * 1 + 4 * (1 - 2 / 6),
    "contest_tokens": 4 + 3 + 4,
    "lifted_raised": 2 * 1 * 1,  # 67
    "lifted": 3 / 2 + 0 + 2 * 1 * 1,
    "norm_0": 2**2 + 0 + 3**2 + 2 * 2**2 + 2**2 + 2 * 2**2,
    "scale_0.5": 4 / 2 + 3 / 3**0.5 + 1 + 2 + 1 + 4 / 2**0.5,
    "norm_0.5": 4 * 0.5**2 + 0 + 3**2 + 2 * 2**2 + 2**2 + 2 * 2,
    "dot_0.5": 8 * 0.5**2 + 0 + 3**2 + 2 * 2**2 + 2**2 + 2 * 2**1.5,
    "scale_1": 1 + 1 + 1 + 2 + 1 + 2,  # the unique tokens
    "norm_1": 0.5**2 + 0 + 3**2 + 2 * 2**2 + 2**2 + 2 * 1,
    "dot_1": 2 * 0.5 + 0 + 3**2 + 2 * 2**2 + 2**2 + 2 * 2,
}


def sums(batch, gains, tolerance=None, zero=None):
    """`defect_sums` of advantages that are given."""
    tokens, lengths, groups, mask = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    made = Groups(forest, tokens, lengths, groups, None, mask, given=np.array(gains, float))
    made.__dict__["zero"] = np.zeros(len(batch), bool) if zero is None else np.array(zero, bool)
    if tolerance is not None:
        made.__dict__["tolerance"] = np.array(tolerance, float)
    return defect_sums(made)


def one(tokens, gains, **options):
    """The sums of one group without a mask."""
    found = sums([[Row(list(ids)) for ids in tokens]], gains, **options)
    return {name: values.item() for name, values in found.items()}


def test_six_completions_by_hand():
    assert one(SIX, GAINS) == pytest.approx(BY_HAND)
    assert POWERS == (0.5, 1.0)


def test_what_all_share_has_no_advantage_and_counts_once_in_the_scale():
    expected = dict(BY_HAND, good_tokens=7, bad_tokens=14)
    expected["scale_0.5"] += 6 / 6**0.5
    expected["scale_1"] += 1
    assert one([[0, *ids] for ids in SIX], GAINS) == pytest.approx(expected)


def test_the_mirror_image_swaps_good_and_bad():
    names = ("good_tokens", "bad_tokens"), ("suppressed_good_tokens", "boosted_bad_tokens")
    swapped = {a: b for pair in names for a, b in (pair, pair[::-1])}
    found = one(SIX, [-a for a in GAINS])
    expected = {name: BY_HAND[swapped.get(name, name)] for name in BY_HAND}
    assert found == pytest.approx(expected | {"lifted_raised": BY_HAND["lifted"] - BY_HAND["lifted_raised"]})


def test_of_a_zero_variance_group_only_sizes_are_left():
    nothing = one(SIX, GAINS, zero=[True])  # its advantages are exactly 0, whatever was logged
    scale = {name: BY_HAND[name] for name in ("scale_0.5", "scale_1")}
    assert nothing == pytest.approx(dict.fromkeys(BY_HAND, 0.0) | scale)


def test_a_group_of_two_or_all_alike_has_nothing_between():
    for tokens in ([[1, 2], [1, 3]], [[1, 2], [1, 2]]):
        found = one(tokens, [1.0, -1.0])
        assert found["informative_tokens"] == found["contest_tokens"] == found["suppressed_good_tokens"] == 0
        assert found["boosted_bad_tokens"] == 0 and found["good_tokens"] == found["bad_tokens"] == 2
    found = one([[1], [1], [1, 2]], [1.0, 1.0, -2.0])  # |λ| = k throughout the shared token
    assert found["informative_tokens"] == found["contest_tokens"] == 0
    found = one([[1], [1], [2]], [1.0, 1.0, -2.0])  # 1 < |λ| < k, but identical: contested by nobody
    assert (found["informative_tokens"], found["contest_tokens"], found["contest_sum"]) == (0, 2, 0)


@pytest.mark.parametrize(("tolerance", "suppressed", "boosted"), [(0.0, 1, 2), (0.5, 0, 2), (0.999, 0, 2), (1.0, 0, 0)])
def test_an_advantage_within_the_tolerance_has_no_sign(tolerance, suppressed, boosted):
    """A of 1 is -1/2 and of 67 is 1: at exactly the tolerance neither is lowered nor raised."""
    found = one(SIX, GAINS, tolerance=[tolerance])
    assert (found["suppressed_good_tokens"], found["boosted_bad_tokens"]) == (suppressed, boosted)


def test_a_completion_within_the_tolerance_is_neither_good_nor_bad():
    found = one(SIX, GAINS, tolerance=[1.0])
    assert (found["good_tokens"], found["bad_tokens"]) == (5, 8)  # -1 is no longer bad
    found = one(SIX, GAINS, tolerance=[3.0])
    assert (found["good_tokens"], found["bad_tokens"]) == (2, 0)  # nor is 3 good


def test_signs_are_those_beyond_the_tolerance_of_the_own_group():
    tokens, lengths, groups, _ = flatten([[Row([1]), Row([1])], [Row([1]), Row([2])]])
    forest = build_forest(tokens, lengths, groups)
    a, tolerance = np.array([2.0, -2.0, 2.0, -2.0]), np.array([2.0, 1.0])
    found = signs(forest, a, np.array([1.5, 1.5, 1.0, -1.5]), tolerance, groups)
    assert forest.group.tolist() == [0, 1, 1, 1]
    assert found.good.tolist() == [False, False, True, False]
    assert found.bad.tolist() == [False, False, False, True]
    assert found.raised.tolist() == [False, True, False, False]
    assert found.lowered.tolist() == [False, False, False, True]


def test_a_draw_is_contested_where_its_members_are_in_the_loss():
    # 7 7: at first both are in the loss (a draw: 1), then the good one alone (agreement: 0), then neither.
    group = [Row([7, 7, 7, 1], [True, True, False, True]), Row([7, 7, 7, 2], [True, False, False, True]), Row([5])]
    found = sums([group], [1.0, -1.0, 0.0])
    assert (found["contest_sum"][0], found["contest_tokens"][0]) == (2 * 1 + 1 * 0, 3)
    assert found["informative_tokens"][0] == 3 and found["informative_sum"][0] == 0
    assert found["scale_1"][0] == 3 / 2 + 3


def test_where_all_members_have_advantage_0_there_is_no_contest():
    found = one([[1, 2], [1, 3], [4, 5], [4, 6], [7]], [0.0, 0.0, 1.0, -1.0, 0.0])
    assert (found["contest_sum"], found["contest_tokens"]) == (2, 2)
    found = one([[1, 2], [1, 3], [7]], [0.4, -0.5, 1.0], tolerance=[0.5])  # within the tolerance is 0 too
    assert (found["contest_sum"], found["contest_tokens"]) == (0, 0)
    found = one([[1, 2], [1, 3], [7]], [0.4, -0.6, 1.0], tolerance=[0.5])
    assert (found["contest_sum"], found["contest_tokens"]) == (0, 2)


def by_definition(group, a, tolerance, zero):
    """All sums of one group, token by token."""
    found = dict.fromkeys(BY_HAND, 0.0)
    sets = [s for s, _, _ in process_sets(group)]
    k, a = len(group), [x if abs(x) > tolerance else 0.0 for x in a]

    def step(members):
        value = oracle.step_mean(members, a)
        return value if abs(value) > tolerance else 0.0

    for i, _, members in loss_tokens(group):
        found["good_tokens"] += a[i] > 0
        found["bad_tokens"] += a[i] < 0
        found["suppressed_good_tokens"] += a[i] > 0 > step(members)
        found["boosted_bad_tokens"] += a[i] < 0 < step(members)
        found["abs_tokens"] += abs(step(members))
        for p in POWERS:
            found[f"scale_{p:g}"] += len(members) ** -p
    for _, t, members in intermediate_tokens(group):
        assert 1 < len(members) < k
        if not zero and not identical(group, members):
            found["informative_sum"] += abs(step(members))
            found["informative_tokens"] += 1
            local = step(members) - step(min((s for s in sets if s > members), key=len))
            found["inherited_tokens"] += abs(local) > tolerance and local * step(members) < 0
        contest = oracle.contest(group, members, t, a)
        if contest is not None:
            found["contest_sum"] += contest
            found["contest_tokens"] += 1
    for members, _ in unique_loss_tokens(group):
        size, value = len(members), step(members)
        found["abs_unique"] += abs(value)
        found["lifted"] += (size - 1) * abs(value)
        found["lifted_raised"] += (size - 1) * max(value, 0.0)
        found["norm_0"] += (size * value) ** 2
        for p in POWERS:
            found[f"norm_{p:g}"] += (size ** (1 - p) * value) ** 2
            found[f"dot_{p:g}"] += size * value * size ** (1 - p) * value
    return found


# 1 is bad (-1), what follows is less bad: 12 lies at -1/2 and adds 1/2; 13 ends at -5/3; 4 is better than all.
LESS_BAD = [[1, 2, 5], [1, 2, 6], [1, 3, 5], [1, 3, 6], [1, 3, 7], [4, 4], [4, 5]]
OF_LESS_BAD = [-3.0, 2.0, -1.0, -3.0, -1.0, 2.0, 4.0]


def given_groups(batch, gains):
    tokens, lengths, groups, mask = flatten(batch)
    made = Groups(build_forest(tokens, lengths, groups), tokens, lengths, groups, None, mask, given=np.array(gains))
    made.__dict__["zero"] = np.zeros(made.number, bool)
    return made


def test_local_advantage_is_what_the_step_itself_added():
    groups = given_groups([[Row(ids) for ids in LESS_BAD]], OF_LESS_BAD)
    a = {"1": -6 / 5, "12": -1 / 2, "13": -5 / 3, "4": 3.0}
    steps = groups.forest
    inner = {tuple(t): n for n, t in enumerate(zip(steps.start.tolist(), steps.size.tolist(), strict=True))}
    found = local_advantages(groups)
    assert np.isnan(found).tolist() == [True] + [False] * (len(found) - 1)
    assert found[inner[1, 2]] == pytest.approx(a["12"] - a["1"]) and found[inner[1, 3]] == pytest.approx(
        a["13"] - a["1"]
    )
    assert found[inner[0, 5]] == pytest.approx(a["1"]) and found[inner[0, 2]] == pytest.approx(a["4"])
    assert one(LESS_BAD, OF_LESS_BAD)["inherited_tokens"] == 2  # 12 is pushed down though it is an improvement
    assert one(LESS_BAD, [-x for x in OF_LESS_BAD])["inherited_tokens"] == 2


def test_what_a_step_adds_within_the_tolerance_is_nothing():
    assert one(LESS_BAD, OF_LESS_BAD, tolerance=[0.69])["inherited_tokens"] == 0  # A = -1/2 is 0
    nearly = [-1.0, -1.0, -1.0, -1.2, -1.0, 2.0, 3.2]  # 12 adds .04
    assert one(LESS_BAD, nearly)["inherited_tokens"] == 2
    assert one(LESS_BAD, nearly, tolerance=[0.05])["inherited_tokens"] == 0
    made = given_groups([[Row(ids) for ids in LESS_BAD]], nearly)
    made.__dict__["tolerance"] = np.array([0.05])
    assert 0.0 in local_advantages(made).tolist()


@given(forests(), st.booleans())
@example([[Row(ids, None, r) for ids, r in zip(LESS_BAD, OF_LESS_BAD, strict=True)]], False)
@example([], False)
@example([[Row(ids, None, r) for ids, r in zip(SIX, GAINS, strict=True)], [Row([1], None, 2.0)]], False)
def test_every_group_has_what_the_definitions_give(batch, logged):
    _, _, groups, _ = flatten(batch)
    rewards = column(batch, "reward")
    a = rewards * 1e-3 if logged else group_advantages(rewards, groups)  # logged ones need not be centred
    zero, tolerance = zero_variance(rewards, groups), zero_tolerance(a, groups, logged=logged)
    found, opens = sums(batch, beyond(tolerance[groups], a), tolerance, zero), 0
    assert set(found) == set(BY_HAND)
    for n, group in enumerate(batch):
        own = [0.0] * len(group) if zero[n] else a[opens : opens + len(group)].tolist()
        opens += len(group)
        expected = by_definition(group, own, tolerance[n], zero[n])
        assert {name: values[n] for name, values in found.items()} == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert all(len(values) == len(batch) and math.isfinite(values.sum()) for values in found.values())
