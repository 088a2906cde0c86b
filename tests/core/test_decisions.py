"""Decisions against brute force: all ways to give the rewards of a decision's texts to its texts, counted."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import oracle
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row
from scipy.stats import fisher_exact
from strategies import column, flatten, forests

from grpo_prm.core import decisions as module
from grpo_prm.core import table_null
from grpo_prm.core.decisions import decidable, decisions, sure
from grpo_prm.core.forest import build_forest
from grpo_prm.core.groups import Groups
from grpo_prm.core.table_null import DRAWS, exact_null, p_by_drawing, tail_of


def groups_of(batch, given=None):
    tokens, lengths, groups, mask = flatten(batch)
    rewards = None if given is not None else column(batch, "reward")
    return Groups(build_forest(tokens, lengths, groups), tokens, lengths, groups, rewards, mask, given=given)


def found_in(batch, given=None):
    """(group, members) to (p, least)."""
    groups = groups_of(batch, given)
    found, forest = decisions(groups), groups.forest
    opens = np.flatnonzero(np.diff(groups.groups, prepend=-1))
    members = [forest.order[forest.first[n] : forest.first[n] + forest.size[n]] for n in found.step]
    names = [
        (forest.group[n], frozenset((m - opens[forest.group[n]]).tolist()))
        for n, m in zip(found.step, members, strict=True)
    ]
    assert len(set(names)) == len(names) and (np.diff(found.step) > 0).all()
    return dict(zip(names, zip(found.p.tolist(), found.least.tolist(), strict=True), strict=True))


def one(texts, rewards):
    """The decision at the root of one group."""
    rows = [Row(list(text), None, reward) for text, reward in zip(texts, rewards, strict=True)]
    return found_in([rows])[0, frozenset(range(len(rows)))]


def test_by_hand():
    # 2 x 2 with margins (2, 2), (2, 2): the tables 2 0 and 0 2 are 1 of 6 each.
    assert one([[1, 3], [1, 4], [2, 3], [2, 4]], [1, 1, 0, 0]) == pytest.approx((2 / 6, 2 / 6))
    assert one([[1, 3], [1, 4], [2, 3], [2, 4]], [1, 0, 1, 0]) == pytest.approx((1, 2 / 6))
    # 1 against 3 with one success: it is the single one in 1 of 4.
    assert one([[1], [2, 3], [2, 4], [2, 5]], [1, 0, 0, 0]) == pytest.approx((1 / 4, 1 / 4))
    assert one([[1], [2, 3], [2, 4], [2, 5]], [0, 1, 0, 0]) == pytest.approx((1, 1 / 4))
    # Three rewards, 2 against 1: the single one has rank 1 or 3 (as extreme) or 2.
    assert one([[1], [2, 3], [2, 4]], [7, 0, 1]) == pytest.approx((2 / 3, 2 / 3))
    assert one([[1], [2, 3], [2, 4]], [1, 0, 7]) == pytest.approx((1, 2 / 3))


def test_each_text_counts_once():
    """Copies are no evidence: four of a good text beside four of a bad one are two texts."""
    assert one([[1, 3]] * 4 + [[2, 3]] * 4, [1.0] * 4 + [0.0] * 4) == pytest.approx((1, 1))
    few, many = [[1, 3], [1, 4], [2, 3], [2, 4]], [[1, 3]] * 5 + [[1, 4], [2, 3], [2, 4], [2, 4]]
    assert one(few, [1, 1, 0, 0]) == pytest.approx(one(many, [1] * 6 + [0, 0, 0]))


def test_copies_that_differ_count_by_their_mean():
    # .5 of 0 and 1 is the .5 of the other text, to rounding too: two rewards in all, not three.
    texts = [[1, 3], [1, 3], [1, 4], [2, 3], [2, 4]]
    assert one(texts, [0, 1, 0.5, 0, 0]) == pytest.approx((2 / 6, 2 / 6))
    third = [[1, 3]] * 3 + [[1, 4], [2, 3], [2, 4]]
    assert one(third, [0.1, 0.2, 0.3, 0.2, 0.7, 0.7]) == pytest.approx((2 / 6, 2 / 6))
    assert one(third, [0.1, 0.5, 0.9, 0.5, 0.5, 0.7]) == pytest.approx((1, 1))  # their mean is .5 but for one bit
    assert one(third, [0.1, 0.1, 0.1, 0.1, 0.7, 0.7]) == pytest.approx((2 / 6, 2 / 6))


def test_what_is_a_decision():
    def sets(*texts, rewards=None):
        rows = [Row(list(t), None, r) for t, r in zip(texts, rewards or range(len(texts)), strict=True)]
        return {tuple(sorted(members)) for _, members in found_in([rows])}

    assert sets([1], [2]) == {(0, 1)}  # a root with an empty step
    assert sets([1], []) == {(0, 1)}  # ending at once is a choice
    assert sets([], []) == set()
    assert sets([5, 1], [5, 2]) == {(0, 1)}
    assert sets([5], [5], [5]) == set()  # all copies: nobody decides
    assert sets([5], [5], [5, 6], [5, 6, 7]) == {(0, 1, 2, 3), (2, 3)}  # two that end are one child
    assert sets([1, 2], [1, 3], [4], [4]) == {(0, 1, 2, 3), (0, 1)}
    assert sets([1], [2], rewards=[3.0, 3.0]) == set()  # a zero-variance group


def test_a_decision_of_one_reward_in_a_group_of_two_says_nothing():
    found = found_in([[Row([1, 2], None, 1.0), Row([1, 3], None, 1.0), Row([4], None, 0.0)]])
    assert found[0, frozenset({0, 1})] == (1, 1)


def test_no_groups_and_no_decisions():
    assert found_in([]) == {}
    assert found_in([[Row([1], None, 1.0)]]) == {}


def test_without_rewards_the_advantages_take_their_place():
    batch = [[Row([1, 3]), Row([1, 4]), Row([2, 3]), Row([2, 4])]]
    found = found_in(batch, given=np.array([0.5, 0.5, -0.5, -0.5]))
    assert found[0, frozenset(range(4))] == pytest.approx((2 / 6, 2 / 6))


@settings(max_examples=150, deadline=None)
@given(forests(max_k=7))
@example([[Row([1, 2], None, 0.0), Row([1, 3], None, 1.0), Row([2, 2], None, 2.0), Row([2, 3], None, 2.0)]])
@example([[Row([n, m], None, float(n * m % 3)) for n in range(2) for m in range(3)]])
def test_every_decision_against_all_arrangements(batch):
    found, expected = found_in(batch), {}
    for n, rows in enumerate(batch):
        for members, table in oracle.decision_tables([row.tokens for row in rows], column([rows], "reward")).items():
            expected[n, members] = oracle.decision_p(table)
    assert found.keys() == expected.keys()
    for name, (p, least) in found.items():
        assert (p, least) == pytest.approx(expected[name], rel=1e-9), name


@given(st.lists(st.integers(1, 7), min_size=2, max_size=2), st.lists(st.integers(1, 7), min_size=2, max_size=2))
def test_two_by_two_is_fishers_exact_test(sizes, wins):
    wins = [min(w, n) for w, n in zip(wins, sizes, strict=True)]
    texts = [[c, n] for c, size in enumerate(sizes) for n in range(size)]
    rewards = [float(n < wins[c]) for c, n in texts]
    if len(set(rewards)) == 2:
        table = [[wins[c], sizes[c] - wins[c]] for c in range(2)]
        assert one(texts, rewards)[0] == pytest.approx(fisher_exact(table).pvalue, rel=1e-9)


def test_tables_that_are_as_probable_but_for_rounding_count():
    """The mirror image of a table has the same probability, though its logarithm may differ in the last bit."""
    for won in range(11):
        texts = [[c, n] for c in range(2) for n in range(20)]
        rewards = [float(n < (won if c == 0 else 20 - won)) for c, n in texts]
        assert one(texts, rewards)[0] == pytest.approx(fisher_exact([[won, 20 - won], [20 - won, won]]).pvalue)


def hypergeometric_p(table):
    """Fisher-Freeman-Halton by listing the tables, in whole numbers."""
    sizes, wins = [sum(row) for row in table], sum(row[0] for row in table)
    weights = {}
    for x in itertools.product(*(range(n + 1) for n in sizes)):
        if sum(x) == wins:
            weights[x] = math.prod(map(math.comb, sizes, x))
    mine = weights[tuple(row[0] for row in table)]
    total, least = sum(weights.values()), min(weights.values())
    count = [sum(w for w in weights.values() if w <= bound) for bound in (mine, least)]
    return float(Fraction(count[0], total)), float(Fraction(count[1], total))


@pytest.mark.parametrize(
    "table",
    [
        [[9, 3], [2, 8], [5, 5]],
        [[1, 0]] * 5 + [[0, 1]] * 6 + [[7, 1]],
        [[4, 0], [0, 4], [2, 2], [3, 1]],
        [[12, 20], [1, 30]],
    ],
)
def test_large_tables_of_two_rewards(table):
    texts = [[c, n] for c, row in enumerate(table) for n in range(sum(row))]
    rewards = [float(n < table[c][0]) for c, n in texts]
    assert one(texts, rewards) == pytest.approx(hypergeometric_p(table), rel=1e-9)


def test_drawn_p_is_that_of_all_arrangements(monkeypatch):
    """Where enumeration is refused the draws must give the same to their standard error, and the same for one seed."""
    tables = [([0, 1, 2], [0, 2, 1]), ([3, 4, 5], [0, 1, 2]), ([5, 4, 3], [1, 2, 0]), ([0, 5, 3], [2, 1, 4])]
    for numbers in tables:
        texts = [[c, n] for c in range(2) for n in range(3)]
        rewards = [float(value) for row in numbers for value in row]
        exact, _ = one(texts, rewards)
        with monkeypatch.context() as patch:
            patch.setattr(module, "_kept_null", lambda *_: None)
            (p, least), again = one(texts, rewards), one(texts, rewards)
        assert (p, least) == again and least == pytest.approx(1 / (1 + DRAWS))
        assert p == pytest.approx(exact, abs=4 * exact * math.sqrt((1 - exact) / table_null.ENOUGH) + 1e-3)


@pytest.mark.parametrize(("sizes", "levels"), [((3, 5), (4, 4)), ((2, 3, 3), (2, 3, 3)), ((2, 2, 4), (5, 3))])
def test_drawing_and_enumeration_agree_along_the_distribution(sizes, levels):
    null = exact_null(sizes, levels)
    for at in (0, len(null.statistic) // 2, -1):
        exact = tail_of(null, null.statistic[[at]])[0]
        drawn = [p_by_drawing(sizes, levels, null.statistic[[at]], seed)[0] for seed in range(40)]
        deviation = exact / math.sqrt(table_null.ENOUGH * 40)
        assert np.mean(drawn) == pytest.approx(exact, abs=4 * deviation + 0.02 * exact)


def test_draws_that_are_never_as_extreme_give_the_least():
    values = np.array([0.0, 1e12, 0.0])  # the one between asks for more draws, which change nothing for the others
    assert p_by_drawing((20, 20, 20), (1,) * 60, values, 0).tolist() == [1, 1 / (1 + DRAWS), 1]


def test_a_large_group_that_cannot_be_enumerated():
    """100 texts, 13 children of different sizes: drawn, in well under a second; two children: exact."""
    texts = [[c, n] for c in range(13) for n in range(c + 1)] + [[13, n] for n in range(9)]
    rng = np.random.default_rng(3)
    p, least = one(texts, rng.integers(0, 2, 100).astype(float))
    assert 0 < p <= 1 and least <= 1e-4
    texts = [[c, n] for c in range(2) for n in range(50)]
    p, least = one(texts, [float(c) for c, _ in texts])
    assert p == least == pytest.approx(2 / math.comb(100, 50), rel=1e-9)


def test_draws_depend_on_the_seed_and_on_nothing_else_in_the_batch():
    texts = [[c, n] for c in range(3) for n in range(10)]
    rng = np.random.default_rng(1)
    rows, others = ([Row(t, None, float(r)) for t, r in zip(texts, rng.permutation(30), strict=True)] for _ in range(2))
    alone, together = decisions(groups_of([rows])), decisions(groups_of([others, rows]))
    assert together.p[-len(alone.p) :].tolist() == alone.p.tolist() and alone.least[0] == 1 / (1 + DRAWS)
    assert (
        decisions(groups_of([rows]), 7).p[0]
        != alone.p[0]
        == pytest.approx(decisions(groups_of([rows]), 7).p[0], rel=0.6)
    )


def noise(rng, groups, k=12, continuous=False):
    """Groups with copies; the reward of a text says nothing about its prefix."""
    batch = []
    for _ in range(groups):
        texts = [tuple(rng.integers(0, 2, 4).tolist()) for _ in range(k)]
        reward = {text: float(rng.normal() if continuous else rng.random() < 0.5) for text in texts}
        batch.append([Row(list(text), None, reward[text]) for text in texts])
    return batch


@pytest.mark.slow
@pytest.mark.parametrize("continuous", [False, True])
def test_noise_with_copies_is_rarely_sure(continuous):
    found = found_in(noise(np.random.default_rng(0), 1500, continuous=continuous))
    p, least = np.array(list(found.values())).T
    assert len(p) > 4000
    could = p[decidable(least)]
    for values in (p, could):
        assert (values <= 0.05).mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / len(values))
    assert len(could) > 500 and (p >= least * (1 - 1e-9)).all()
    assert sure(p, least).sum() <= 2


def test_a_prefix_that_decides_is_sure():
    rng = np.random.default_rng(5)
    batch = [
        [Row([c, *rng.integers(0, 9, 6).tolist()], None, float(c)) for c in (0, 1) for _ in range(6)] for _ in range(20)
    ]
    found = found_in(batch)
    p, least = np.array(list(found.values())).T
    roots = np.array([len(members) == 12 for _, members in found])
    assert sure(p, least)[roots].all() and not sure(p, least)[~roots].any()


def benjamini_hochberg(p, least):
    """By the definition: the largest r of which r decisions that could be sure have p <= .05 r / m."""
    could = [n for n in range(len(p)) if least[n] <= 0.05]
    best = 0.0
    for r in range(1, len(could) + 1):
        ordered = sorted(p[n] for n in could)
        if ordered[r - 1] <= 0.05 * r / len(could):
            best = ordered[r - 1]
    return [n in could and p[n] <= best for n in range(len(p))]


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), max_size=12))
@example([(20, 20)])  # exactly .05
@example([(19, 19)])
@example([(4, 1), (16, 4), (3, 300)])
@example([(4, 4), (16, 16)])  # .01 and .04: both
def test_sure_is_benjamini_hochberg(pairs):
    least = np.array([min(a, b) / 400 for a, b in pairs])
    p = np.array([max(a, b) / 400 for a, b in pairs])
    assert sure(p, least).tolist() == benjamini_hochberg(p, least)
    assert decidable(least).tolist() == [x <= 0.05 for x in least]


def test_a_p_of_one_in_twenty_is_enough():
    """3 against 3 of ordered rewards is 2 of 20; 1 against 19 is 1 of 20, whatever its last bit."""
    texts = [[1], *([2, n] for n in range(19))]
    p, least = one(texts, [1.0] + [0.0] * 19)
    assert p == least == pytest.approx(0.05) and sure(np.array([p]), np.array([least])).all()
