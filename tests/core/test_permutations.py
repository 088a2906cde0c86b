"""The permutation null: every sum over the permutations against dictionaries permuted alike.

Permutations are drawn one by one here, those of groups with few ways too: how these are worked out is in test_ways and
test_few_ways.
"""

from __future__ import annotations

from collections import Counter
from itertools import permutations as orders

import numpy as np
import oracle
import pytest
from core.permuted_case import COPIES, DEEP, FEW, TREE, TWINS, Case, by_definition, permuted, same
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row, identical, intermediate_tokens, process_set
from scipy.stats import chisquare
from strategies import forests

from grpo_prm.core import permutations as module
from grpo_prm.core import ways as ways_module
from grpo_prm.core.exchange import exchangeable
from grpo_prm.core.forest import build_forest
from grpo_prm.core.permutations import (
    PERMUTATIONS,
    Bounds,
    PermutedSums,
    certainty_bounds,
    null_range,
    zero_sums,
)
from grpo_prm.core.prm import step_means
from grpo_prm.core.seeds import group_seed
from grpo_prm.core.ways import MOST


@pytest.fixture(autouse=True, scope="module")
def each_is_drawn():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ways_module, "MOST", 0)
        yield


# ---------------------------------------------------------------- the sums


@settings(max_examples=60)
@given(forests(), st.integers(0, 2**64 - 20))
@example([], 0)
@example([DEEP, COPIES], 4)
@example([TREE, TWINS, [Row([1], reward=2.0)], [Row([], reward=1.0), Row([], reward=0.0)]], 2**64 - 20)
@example([[Row([7, 7, 1], [False, True, True], 1.0), Row([7, 7, 2], [True, True, True], 0.0), Row([5], None, 0.5)]], 3)
def test_the_sums_are_those_of_dictionaries_permuted_alike(batch, seed):
    case = Case(batch, [seed + n for n in range(len(batch))])
    rng = np.random.default_rng(seed)
    bounds = Bounds(*rng.uniform(0, 1, (2, len(case.forest.size))))
    found = case.sums(bounds=bounds)
    assert {values.shape for values in found} == {(1, FEW)}
    same(PermutedSums(*(values[0] for values in found)), [by_definition(case, n, bounds) for n in range(len(batch))])
    plain = case.sums()
    assert not plain.certain_wilson.any() and not plain.certain_student.any()
    for one, other in list(zip(plain, found, strict=True))[:6]:
        np.testing.assert_array_equal(one, other)


@settings(max_examples=40)
@given(forests(min_k=2, rewards="fractional", max_groups=2), st.integers(0, 2**32 - 1))
@example([TREE], 1)
@example([[Row([], reward=0.0), Row([0], reward=0.0), Row([0], reward=0.0)]], 1)  # advantages 0, rewards not
def test_rewards_are_dealt_with_the_advantages(batch, seed):
    """The bounds may be about rewards that the advantages are no multiple of."""
    case = Case(batch, [seed + n for n in range(len(batch))])
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=len(case.rewards))
    bounds = Bounds(*rng.uniform(0, 1, (2, len(case.forest.size))))
    found = case.sums(bounds=bounds, rewards=rewards)
    expected = [by_definition(case, n, bounds, rewards) for n in range(len(batch))]
    same(PermutedSums(*(values[0] for values in found)), expected)


def test_pairs_are_those_of_rewards_that_differ_whatever_the_tolerance_of_advantages():
    case = Case([DEEP])
    case.tolerance = np.array([10.0])
    rewards = 0.1 * case.rewards
    found = case.sums(rewards=rewards)
    assert found.pairs.all() and not found.good_tokens.any()
    same(PermutedSums(*(values[0] for values in found)), [by_definition(case, 0, rewards=rewards)])
    assert not case.sums().pairs.any()


def test_one_permutation_by_hand(monkeypatch):
    """Rows 0 and 1 part after 7; 2 stands alone. Permuted to (-1, 2, -1): A = 1/2 there, so row 0 is boosted."""
    case = Case([[Row([7, 1], reward=0), Row([7, 2, 2], reward=0), Row([5, 5], reward=1)]])
    case.advantages, case.tolerance = np.array([2.0, -1.0, -1.0]), np.array([1e-9])
    values = np.array([-1.0, 2.0, -1.0])
    monkeypatch.setattr(module, "permuted_values", lambda *_: [values[case.forest.order][None, :, None]])
    bounds = Bounds(np.full(5, 0.49), np.full(5, 0.51))
    found = case.sums(bounds=bounds, permutations=1)
    expected = PermutedSums(1.0, 3, 0, 4, 1, 0, 2, 0, 0.5, 1)  # two intermediate tokens, each with abs(A) = 1/2
    assert [values.item() for values in found] == list(expected)


def test_a_step_of_mean_zero_is_neither_suppressed_nor_boosted():
    """Whatever the order: of (1, -1, 0, 0) two are held by the pair; its mean is 0 when they cancel or are both 0."""
    case = Case([[Row([7, 1], reward=0), Row([7, 2], reward=0), Row([5], reward=0), Row([6], reward=0)]])
    case.advantages, case.tolerance = np.array([1.0, -1.0, 0.0, 0.0]), np.array([1e-12])
    found = case.sums(permutations=400)
    for sums in (found.suppressed_good_tokens, found.boosted_bad_tokens):
        assert not sums.any()  # beside a good one there is only -1 (mean 0) or 0 (mean positive), and the mirror image
    case.tolerance = np.array([0.6])  # now 1 and -1 count, and the mean of (1, 0) does not
    assert not case.sums(permutations=400).suppressed_good_tokens.any()


def test_the_tolerance_is_open_on_either_side():
    """A mean of exactly the tolerance is no sign, nor is a value."""
    case = Case([[Row([7, 1], reward=0), Row([7, 2], reward=0), Row([5], reward=0)]])
    case.advantages, case.tolerance = np.array([1.0, -3.0, 2.0]), np.array([1.0])
    found = case.sums(permutations=300)
    # 1 is not good (it is the tolerance): the tokens of 2 alone, two or one of them, and those of -3.
    assert set(found.good_tokens[0]) == {1.0, 2.0} and set(found.bad_tokens[0]) == {1.0, 2.0}
    # (1, -3) has A = -1 = -tolerance and no good member; (2, -3) has -1/2; so none is suppressed, whatever the order.
    assert not found.suppressed_good_tokens.any()
    # (1, 2) has 1.5 but no bad member; (2, -3) is -1/2: none is boosted.
    assert not found.boosted_bad_tokens.any()
    case.tolerance = np.array([0.4])
    found = case.sums(permutations=300)
    assert set(found.suppressed_good_tokens[0]) == {0.0, 1.0}  # beside -3 every good member is held back
    case.tolerance = np.array([0.5])
    pairs = [sorted(values[:2]) for values in permuted(case, 0, case.advantages, 300)]
    assert [-3, 2] in pairs and [-3, 1] in pairs  # -1/2 is within a tolerance of 1/2, -1 is not
    expected = [float(pair == [-3, 1]) for pair in pairs]
    found = case.sums(permutations=300)
    assert found.suppressed_good_tokens[0].tolist() == expected and not found.boosted_bad_tokens.any()
    case.advantages = -case.advantages
    found = case.sums(permutations=300)
    assert found.boosted_bad_tokens[0].tolist() == expected and not found.suppressed_good_tokens.any()


def test_the_root_is_as_suppressed_by_chance_as_it_is():
    """Logged advantages need not be centred: then the root has a sign, whatever the order."""
    batch = [[Row([1, *row.tokens], None, row.reward) for row in group] for group in (TREE, TWINS)]
    case = Case(batch)
    case.advantages, case.tolerance = case.advantages - 0.3, np.full(2, 1e-6)
    same(PermutedSums(*(values[0] for values in case.sums())), [by_definition(case, n) for n in range(2)])


def test_a_group_of_zero_variance_adds_nothing():
    case = Case([TREE, [Row(row.tokens, reward=1.0) for row in TREE]])
    alone = Case([TREE])
    for one, other in zip(case.sums(), alone.sums(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_group_without_a_positive_advantage_is_dealt_like_any_other():
    case = Case([TREE])
    case.advantages, case.tolerance = np.array([-1.0, -2.0, -0.5, -0.5]), np.array([1e-12])
    found = case.sums()
    same(PermutedSums(*(values[0] for values in found)), [by_definition(case, 0)])
    assert found.bad_tokens.all() and found.informative_sum.any()


# ---------------------------------------------------------------- bins, batches, order


@settings(max_examples=40)
@given(forests(min_k=2, max_groups=5), st.data())
def test_bins_hold_their_own_groups_and_add_up(batch, data):
    bins = data.draw(st.lists(st.integers(0, 2), min_size=len(batch), max_size=len(batch)))
    case = Case(batch)
    found, whole = case.sums(bins=np.array(bins, int)), case.sums()
    assert {values.shape for values in found} == {(max(bins, default=0) + 1, FEW)}
    for part, total in zip(found, whole, strict=True):
        np.testing.assert_allclose(part.sum(axis=0), total[0], rtol=1e-12, atol=1e-12)
    for b in set(bins):
        own = [n for n in range(len(batch)) if bins[n] == b]
        same(PermutedSums(*(values[b] for values in found)), [by_definition(case, n) for n in own])


@settings(max_examples=40)
@given(forests(min_k=2, max_groups=5), st.data())
def test_neither_slices_nor_the_order_of_groups_change_what_is_permuted(batch, data):
    seeds = [group_seed(0, "run", 1, f"prompt {n}") for n in range(len(batch))]
    whole = Case(batch, seeds).sums()
    cut = data.draw(st.integers(0, len(batch)))
    parts = [Case(batch[part], seeds[part]).sums() for part in (slice(cut), slice(cut, None))]
    order = data.draw(st.permutations(range(len(batch))))
    moved = Case([batch[n] for n in order], [seeds[n] for n in order]).sums()
    for total, one, other, again in zip(whole, *parts, moved, strict=True):
        np.testing.assert_allclose(one + other, total, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(again, total, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("few", [0, MOST])
@pytest.mark.parametrize("block", [1, 3 * FEW, 8 * FEW])
def test_blocks_of_any_size_give_the_same(block, few, monkeypatch):
    monkeypatch.setattr(ways_module, "MOST", few)
    batch = [TREE, TWINS, TREE[::-1], TWINS, TREE, TWINS, [*TREE, *TWINS]]
    bins, bounds = np.array([0, 1, 0, 0, 1, 1, 0]), Bounds(np.full(99, 0.1), np.full(99, 0.2))
    whole = Case(batch).sums(bins=bins, bounds=bounds)
    monkeypatch.setattr(module, "BLOCK", block)
    for one, other in zip(Case(batch).sums(bins=bins, bounds=bounds), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


# ---------------------------------------------------------------- the permutations themselves


def exact_sums(group, a):
    """Every sum under each of the equally likely orders of the classes of one size."""
    copies: dict[tuple, list[int]] = {}
    for i, row in enumerate(group):
        copies.setdefault(tuple(row.tokens), []).append(i)
    classes = list(copies.values())
    mean = [sum(a[i] for i in one) / len(one) for one in classes]
    # All orders of all classes, of which those stay that give no class the value of another size.
    kept = [o for o in orders(range(len(classes))) if all(len(classes[x]) == len(classes[y]) for x, y in enumerate(o))]
    found = {"informative_sum": [], "suppressed_good_tokens": [], "boosted_bad_tokens": []}
    for order in kept:
        new = {i: mean[order[c]] + a[i] - mean[c] for c, one in enumerate(classes) for i in one}
        steps = {members: oracle.step_mean(members, new) for _, _, members in intermediate_tokens(group)}
        tokens = [(new[i], steps[members], members) for i, _, members in intermediate_tokens(group)]
        found["informative_sum"].append(sum(abs(step) for _, step, s in tokens if not identical(group, s)))
        found["suppressed_good_tokens"].append(sum(own > 1e-9 and step < -1e-9 for own, step, _ in tokens))
        found["boosted_bad_tokens"].append(sum(own < -1e-9 and step > 1e-9 for own, step, _ in tokens))
    return found


@pytest.mark.parametrize("few", [0, MOST])
@pytest.mark.parametrize("group", [TREE, COPIES])
def test_the_mean_over_permutations_is_the_exact_one(group, few, monkeypatch):
    monkeypatch.setattr(ways_module, "MOST", few)
    case = Case([group], [group_seed(0, "a group")])
    number = 20000
    found = case.sums(permutations=number)._asdict()
    for name, values in exact_sums(group, case.advantages.tolist()).items():
        error = np.std(values) / number**0.5
        assert error > 0 and abs(found[name].mean() - np.mean(values)) < 4 * error, name


def test_copies_move_together_and_only_to_classes_of_their_size():
    """Of four texts one comes three times: its rows never lose their reward, and the others exchange theirs."""
    group = [*[Row([9, 9], reward=1.0)] * 3, Row([9, 8], reward=1.0), Row([5], reward=0.0), Row([6], reward=0.0)]
    case = Case([group])
    found = case.sums(permutations=300)
    # 9 leads to four rows, three of them always good; the single one is good in one of three orders.
    assert set(found.good_tokens[0]) == {8.0, 7.0} and 60 < (found.good_tokens[0] == 8).sum() < 140


def test_nothing_changes_where_nothing_can_be_exchanged():
    """One text twice, another once: there is no second class of either size."""
    case = Case(
        [[Row([9, 9], reward=1.0), Row([9, 9], reward=0.5), Row([9, 8], reward=0.0), Row([5, 5, 5], reward=0.0)]]
    )
    assert exchangeable(case.forest, case.rewards).tolist() == [False]
    found = case.sums(permutations=50)
    for values in found:
        assert len(set(values[0].tolist())) == 1
    assert found.informative_sum.any()


@settings(max_examples=60)
@given(forests(min_k=1))
@example([TREE, TWINS, COPIES, [Row([1])], [Row([1], reward=1.0), Row([2], reward=1.0), Row([3, 3], reward=1.0)]])
@example([[Row([1], reward=1.0), Row([2], reward=0.0)], [Row([1], reward=1.0), Row([1], reward=0.0)]])
def test_a_group_is_exchangeable_if_two_classes_of_one_size_differ(batch):
    case = Case(batch)
    for group, found in zip(batch, exchangeable(case.forest, case.rewards).tolist(), strict=True):
        copies: dict[tuple, list[float]] = {}
        for row in group:
            copies.setdefault(tuple(row.tokens), []).append(row.reward)
        means = {(len(one), max(one) if max(one) == min(one) else sum(one) / len(one)) for one in copies.values()}
        assert found == (len({size for size, _ in means}) < len(means))


def test_every_order_is_equally_likely():
    """Lengths of 1, 2, 4 and 8 tokens tell who has 1 and who -1: twelve orders."""
    case = Case([[Row([n] * 2**n, reward=0.0) for n in range(4)]], [group_seed(1, "another")])
    case.advantages = np.array([1.0, -1.0, 0.0, 0.0])
    found = case.sums(permutations=12000)
    seen = Counter(zip(found.good_tokens[0], found.bad_tokens[0], strict=True))
    assert set(seen) == {(2**i, 2**j) for i in range(4) for j in range(4) if i != j}
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_groups_with_different_names_are_permuted_differently():
    names = [(seed, run, step, key) for seed in (0, 1) for run in "ab" for step in (None, 1, 11) for key in ("1", "11")]
    seeds = [group_seed(*name) for name in names]
    assert len(set(seeds)) == len(names) and all(0 <= seed < 2**64 for seed in seeds)
    assert seeds == [group_seed(*name) for name in names]
    assert group_seed(0, "a", "b") != group_seed(0, "ab") and group_seed(0, 1, "1") != group_seed(0, "1", 1)
    different = [tuple(Case([TREE], [seed]).sums(permutations=30).informative_sum[0]) for seed in seeds]
    assert len(set(different)) == len(names)


# ---------------------------------------------------------------- certainty


@settings(max_examples=60)
@given(forests(min_k=1))
@example([TREE, TWINS])
@example([[Row([7, n], reward=float(n < 5)) for n in range(5)] + [Row([6, n], reward=0.0) for n in range(5)]])
def test_a_step_is_certain_beyond_its_bound(batch):
    case = Case(batch)
    bounds = certainty_bounds(case.forest, case.rewards, case.groups)
    centre = np.array([case.rewards[case.groups == n].mean() for n in case.forest.group])
    away = np.abs(step_means(case.forest, case.rewards) - centre)
    for n, group in enumerate(batch):
        rewards = [row.reward for row in group]
        two = oracle.two_rewards(rewards)
        for members in {process_set(group, i, t) for i, row in enumerate(group) for t in range(len(row.tokens))}:
            at = case.node(n, members)
            checks = [(bounds.student[at], None), *([(bounds.wilson[at], two)] if two else [])]
            for bound, binary in checks:
                if abs(away[at] - bound) > 1e-9:
                    assert (away[at] > bound) == (len(group) > 1 and oracle.certain(rewards, members, binary))


def test_bounds_by_hand():
    # Rewards -1 and 3 in equal shares: the bound is 4 z sqrt(1/4 / size), and t(.975, 3) sd / sqrt(size).
    case = Case([[Row([7, 1], reward=-1.0), Row([7, 2], reward=-1.0), Row([7], reward=3.0), Row([5], reward=3.0)]])
    found = certainty_bounds(case.forest, case.rewards, case.groups)
    size = case.forest.size
    np.testing.assert_allclose(found.wilson, 4 * 1.96 * 0.5 / np.sqrt(size), rtol=1e-12)
    np.testing.assert_allclose(found.student, 3.182446305284263 * (16 / 3) ** 0.5 / np.sqrt(size), rtol=1e-12)


def test_equal_rewards_are_never_certain():
    batch = [[Row([7], reward=0.1)] * 3, [Row([7], reward=1e6), Row([8], reward=1e6 + 0.5)], [Row([7], reward=1.0)]]
    case = Case(batch)
    found = certainty_bounds(case.forest, case.rewards, case.groups)
    assert np.isinf(found.wilson).all() and np.isinf(found.student).all()
    none = certainty_bounds(build_forest([], [], []), np.zeros(0), np.zeros(0, int))
    assert [len(values) for values in none] == [0, 0]


# ---------------------------------------------------------------- figures of chance


def test_the_range_is_over_the_permutations_that_have_the_figure():
    found = null_range(np.array([np.nan, *range(41)]))
    assert found == (20.0, 1.0, 39.0)
    assert null_range(np.array([np.nan])) == null_range(np.zeros(0)) == (None, None, None)


def test_no_group_is_zero_everywhere():
    assert {values.shape for values in zero_sums()} == {(PERMUTATIONS,)} == {(199,)}
    assert {values.shape for values in zero_sums(3, permutations=2)} == {(3, 2)}
    assert not any(values.any() for values in zero_sums(3))
    empty = Case([]).sums(permutations=4)
    assert {values.shape for values in empty} == {(1, 4)} and not any(values.any() for values in empty)
