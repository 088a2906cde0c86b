"""The oracle of the permutation null against numbers by hand."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import oracle
import pytest
from core.null_oracle import (
    STATISTICS,
    classes,
    exact_p,
    null_distributions,
    null_mean,
    permuted_rewards,
    rewards_of,
    sums,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle_sets import Row, mean
from scipy.stats import chisquare
from strategies import flatten, groups

from grpo_prm.core.forest import build_forest, visits
from grpo_prm.core.permutations import certainty_bounds, permuted_sums
from grpo_prm.core.prm import group_advantages, zero_tolerance
from grpo_prm.core.seeds import group_seed


def rows(*texts):
    """Rows of (tokens, reward)."""
    return [Row([int(c) for c in text], reward=reward) for text, reward in texts]


# Two texts under 1, two under 2, one alone; and two texts of two copies beside two single ones.
FORKS = rows(("10", 1.0), ("11", 1.0), ("20", 0.0), ("21", 0.0), ("3", 0.0))
PAIRS = rows(("10", 1.0), ("10", 1.0), ("20", 0.0), ("20", 0.0), ("11", 0.0), ("3", 1.0))
TORN = rows(("10", 1.0), ("10", 0.0), ("20", 1.0), ("20", 1.0))


def test_distinct_texts_are_permuted_freely():
    every = [tuple(map(float, r)) for r in permuted_rewards(FORKS)]
    assert len(every) == 120 and every[0] == (1, 1, 0, 0, 0) and len(set(every)) == 10


def test_copies_stay_together_and_sizes_do_not_mix():
    assert classes(PAIRS) == [[0, 1], [2, 3], [4], [5]]
    assert sorted(tuple(map(int, r)) for r in permuted_rewards(PAIRS)) == [
        (0, 0, 1, 1, 0, 1), (0, 0, 1, 1, 1, 0), (1, 1, 0, 0, 0, 1), (1, 1, 0, 0, 1, 0),
    ]  # fmt: skip


def test_each_row_keeps_its_difference_to_its_class():
    """Means 1/2 and 1 change places: 1 and 0 become 3/2 and 1/2; mean and variance of the group stay."""
    other = list(permuted_rewards(TORN))[1]
    assert other == [Fraction(3, 2), Fraction(1, 2), Fraction(1, 2), Fraction(1, 2)]
    assert sum(other) == 3 and sum(r * r for r in other) == sum(r * r for r in rewards_of(TORN))


def test_mean_abs_a_by_hand():
    """Mean 2/5, std sqrt(.3): under 1 and under 2 (4 tokens) abs(A) is .6 and .4 over it."""
    top, bottom = sums(FORKS, rewards_of(FORKS))["informativeness"]
    assert bottom == 4 and top == pytest.approx((2 * 0.6 + 2 * 0.4) / (0.3**0.5 + 1e-4))


def test_the_exact_p_by_hand():
    """Of the 10 places of two right ones: both under 1 or both under 2 give the most abs(A); one each: .1 + .1."""
    assert exact_p(FORKS, "informativeness") == pytest.approx(2 / 10)
    assert exact_p(FORKS, "certain_share") == 1.0


def test_shares_by_hand():
    """Permuted to one right text under 1 and one under 2, R is 1/2 > 2/5 in both, so both wrong texts are raised."""
    permuted = [Fraction(n) for n in (1, 0, 1, 0, 0)]
    assert sums(FORKS, permuted)["boosted_bad"] == (2, 5)
    assert sums(FORKS, permuted)["suppressed_good"] == (0, 4)
    single = [Fraction(n) for n in (1, 0, 0, 0, 1)]
    assert sums(FORKS, single)["suppressed_good"] == (0, 3)
    three = [Fraction(n) for n in (1, 0, 0, 0, 0)]
    # R under 1 is 1/2 > 1/5.
    assert sums(FORKS, three)["boosted_bad"] == (1, 7)


def test_inherited_by_hand():
    """R falls from 1 (under 1) to 3/4 of it (under 1 1): above the mean still, and worse than before."""
    group = rows(("1100", 1.0), ("1101", 0.0), ("10", 1.0), ("12", 1.0), ("3", 0.0), ("4", 0.0))
    # Mean 1/2; under 1: 3/4 (4 tokens); under 11 0: 1/2 (its 2 x 2 tokens): A is 0 there, so no sign.
    assert sums(group, rewards_of(group))["inherited"] == (0, 8)
    lifted = [Fraction(n) for n in (1, 0, 1, 1, 0, -1)]
    # Mean 1/3: 1/2 > 1/3 but below 3/4.
    assert sums(group, lifted)["inherited"] == (4, 8)


def test_leave_pair_out_by_hand():
    """10 (1) against 20 (0): the others under 1 say 1, those under 2 say 0: right. Against 3: 1 against 1/3, right."""
    assert sums(FORKS, rewards_of(FORKS))["leave_pair_out_auc"] == (6, 6)
    # 10 (1) against 11 (0): neither has a set with others, so the pair is left out; 3 is scored by all others.
    split = [Fraction(n) for n in (1, 0, 0, 0, 0)]
    # Against 20 and 21: 0 and 0, ties; against 3: 0 and mean of 11, 20, 21: 0, a tie.
    assert sums(FORKS, split)["leave_pair_out_auc"] == (1.5, 3)


def test_copies_are_no_pair_and_do_not_score():
    """Pairs of unequal rewards that are no copies: 10, 10 and 3 against 20, 20 and 11.

    10 against 20: 11 (0) is left under 1; under 2 nothing: all others (11 and 3), 1/2. Wrong, four times. 10 against
    11: neither has a set with others. 3 against 20: neither has. 3 against 11: under 1 are 10 and 10, 1; 3 has all
    others, 1/2: wrong.
    """
    assert sums(PAIRS, rewards_of(PAIRS))["leave_pair_out_auc"] == (0, 5)


@settings(max_examples=40, deadline=None)
@given(groups(min_k=2, max_k=5, rewards="fractional"))
def test_the_observed_sums_are_those_of_the_other_oracle(group):
    (one,) = oracle.analysed([("a", 0, "p", group)])
    found = {name: top / bottom for name, (top, bottom) in sums(group, rewards_of(group)).items() if bottom}
    expected = {
        "informativeness": oracle.informativeness([one]),
        "suppressed_good": oracle.opposed_share([one], +1),
        "boosted_bad": oracle.opposed_share([one], -1),
        "certain_share": oracle.certain_share([one], log_is_binary=False),
    }
    for name, value in expected.items():
        assert found.get(name) == (None if value is None else pytest.approx(value, abs=1e-9)), name


@settings(max_examples=40, deadline=None)
@given(groups(min_k=2, max_k=5, rewards="binary"), st.randoms())
def test_the_null_does_not_depend_on_which_permutation_was_observed(group, random):
    """Exchangeability: the distribution from any permuted reward is the same."""
    every = list(permuted_rewards(group))
    other = random.choice(every)
    again = [Row(row.tokens, row.mask, float(r)) for row, r in zip(group, other, strict=True)]
    exact = all(Fraction(row.reward) == r for row, r in zip(again, other, strict=True))
    one, two = null_distributions(group), null_distributions(again)
    for name in STATISTICS if exact else ():
        assert one[name] == pytest.approx(two[name]), name


@settings(max_examples=30, deadline=None)
@given(groups(min_k=3, max_k=5, rewards="binary"))
def test_leave_pair_out_is_centred_on_one_half_where_all_texts_differ(group):
    if len(classes(group)) == len(group):
        top, bottom = null_mean(group, "leave_pair_out_auc")
        assert top == pytest.approx(bottom / 2, abs=1e-9)


def test_means_by_hand():
    values = [sums(FORKS, r)["informativeness"][0] for r in permuted_rewards(FORKS)]
    assert null_mean(FORKS, "informativeness")[0] == pytest.approx(mean(values))


# ---------------------------------------------------------------- the null of the core


SIZES = [*rows(("10", 1.0), ("10", 0.0), ("11", 1.0), ("11", 1.0), ("20", 0.2), ("211", 0.9), ("212", 0.1), ("3", 0.7))]
DEEP = rows(("1100", 1.0), ("1101", 0.0), ("10", 0.8), ("12", 0.1), ("3", 0.0), ("30", 0.4))
LARGE = rows(*((text, r) for text, r in (("10", 1.0), ("11", 1.0), ("20", 0.0), ("21", 0.0)) for _ in range(3)))
TILTED = rows(*((text, r) for text, own in (("10", (1.0, 1.0, 0.1)), ("11", (0.4, 0.4, 0.4)), ("2", (0.0, 0.0, 0.3)))
                for r in own), ("3", 0.5))  # fmt: skip
TOPS = {
    "informativeness": ("informative_sum",),
    "suppressed_good": ("suppressed_good_tokens", "good_tokens"),
    "boosted_bad": ("boosted_bad_tokens", "bad_tokens"),
    "certain_share": ("certain_student",),
    "inherited": ("inherited_tokens",),
    "leave_pair_out_auc": ("pairs_right", "pairs"),
}


GROUPS = {"forks": FORKS, "pairs": PAIRS, "torn": TORN, "sizes": SIZES, "deep": DEEP, "large": LARGE, "tilted": TILTED}


@pytest.fixture(scope="module")
def exact():
    return {label: null_distributions(group) for label, group in GROUPS.items()}


@pytest.mark.parametrize("label", GROUPS)
def test_the_null_of_the_core_is_the_exact_one(label, exact):
    """Every value is drawn as often as its share of all permutations says, and no other."""
    group, number = GROUPS[label], 3000
    tokens, lengths, numbers, _ = flatten([group])
    forest = build_forest(tokens, lengths, numbers)
    rewards = np.array([row.reward for row in group])
    advantages = group_advantages(rewards, numbers)
    drawn = permuted_sums(
        forest, visits(forest), advantages, zero_tolerance(advantages, numbers),
        np.array([group_seed(5, label)], np.uint64), certainty_bounds(forest, rewards, numbers), rewards,
        permutations=number,
    )  # fmt: skip
    for name, columns in TOPS.items():
        found = np.stack([getattr(drawn, column)[0] for column in columns])
        shares: dict[tuple[float, ...], float] = {}
        for pair, share in exact[label][name].items():
            key = tuple(round(x, 6) for x in pair[: len(columns)])
            shares[key] = shares.get(key, 0.0) + share
        times = [int(np.isclose(found, np.array(key)[:, None], atol=1e-5).all(axis=0).sum()) for key in shares]
        assert sum(times) == number, name
        if len(shares) > 1:
            assert chisquare(times, [number * share for share in shares.values()]).pvalue > 1e-3, name


def test_groups_of_the_exact_null_move_every_statistic(exact):
    """So that the test above compares more than constants."""
    for name in TOPS:
        assert any(len(of_group[name]) > 1 for of_group in exact.values()), name
