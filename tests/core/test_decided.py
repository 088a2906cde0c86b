"""Where the outcome is decided: every pair by the definition, and the null by going through all its permutations."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, permutations, product

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_sets import Row, in_loss
from strategies import flatten, forests

from grpo_prm.core import decided as module
from grpo_prm.core.decided import decided, share_points, token_points
from grpo_prm.core.distinct import distinct
from grpo_prm.core.forest import build_forest, visits

# Copies of two sizes, and one that is alone in its size.
COPIES = [Row([1, 1]), Row([1, 1]), Row([1, 2]), Row([1, 2]), Row([1, 3, 3]), Row([2]), Row([3]), Row([3]), Row([3])]
PREFIX = [Row([1, 2]), Row([1, 2, 3, 4]), Row([1, 2, 3]), Row([])]
# One prefix, of which the two have one and two tokens in the loss, and as many in all.
MASKED = [
    Row([1, 2, 3, 4], [True, False, True, True]),
    Row([1, 2, 5, 4], [True, True, True, False]),
    Row([1, 2, 6], [False, False, False]),
]


def measured(batch, a, kept=None):
    tokens, lengths, groups, mask = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    kept = np.ones(len(batch), bool) if kept is None else np.array(kept)
    return decided(forest, visits(forest, mask), distinct(forest), np.asarray(a, np.float64), kept)


def loss(row, end=None):
    return sum(in_loss(row, t) for t in range(len(row.tokens) if end is None else end))


def shared(one, other):
    """Loss tokens of the shorter one in the common prefix, and all of them."""
    same = [a == b for a, b in zip(one.tokens, other.tokens, strict=False)]
    end = [*same, False].index(False)
    shortest = min(loss(one), loss(other))
    return min(loss(row, end) for row in (one, other) if loss(row) == shortest), shortest


def texts(group):
    """Rows of each distinct completion."""
    rows = {}
    for i, row in enumerate(group):
        rows.setdefault(tuple(row.tokens), []).append(i)
    return list(rows.values())


def null(group, a):
    """a under every permutation of the means of copies among texts that come as often."""
    classes = texts(group)
    mean = [sum(a[i] for i in rows) / len(rows) for rows in classes]
    of_size = {}
    for c, rows in enumerate(classes):
        of_size.setdefault(len(rows), []).append(c)
    for orders in product(*(permutations(same) for same in of_size.values())):
        permuted = list(a)
        for same, order in zip(of_size.values(), orders, strict=True):
            for c, other in zip(same, order, strict=True):
                for i in classes[c]:
                    permuted[i] = a[i] - mean[c] + mean[other]
        yield permuted


def by_definition(group, a, more):
    """Σ a_i a_j, its mean under the null, and the number of pairs for which `more(shared, shorter)` holds."""
    pairs = [
        (i, j)
        for i, j in combinations(range(len(group)), 2)
        if group[i].tokens != group[j].tokens
        and min(loss(group[i]), loss(group[j])) > 0
        and more(*shared(group[i], group[j]))
    ]
    each = [sum(x[i] * x[j] for i, j in pairs) for x in null(group, a)]
    return sum(a[i] * a[j] for i, j in pairs), sum(each) / len(each), len(pairs)


def assert_decided(batch, a):
    found = measured(batch, a)
    points = token_points(max((loss(row) for group in batch for row in group), default=0))
    shares = [Fraction(n, 20) for n in range(20)]
    assert found.share.pairs.shape == (len(batch), 20) and found.tokens.pairs.shape == (len(batch), len(points))
    opens = 0
    for g, group in enumerate(batch):
        own = a[opens : opens + len(group)]
        opens += len(group)
        for curve, tests in (
            (found.share, [lambda s, n, x=x: s > x * n for x in shares]),
            (found.tokens, [lambda s, n, x=x: s > x for x in points]),
        ):
            expected = np.array([by_definition(group, own, test) for test in tests])
            assert curve.pairs[g].tolist() == expected[:, 2].tolist()
            np.testing.assert_allclose(curve.sums[g], expected[:, 0], rtol=0, atol=1e-12)
            np.testing.assert_allclose(curve.expected[g], expected[:, 1], rtol=0, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(forests(min_k=2, max_k=5, max_groups=3), st.integers(0, 9))
def test_every_pair_and_every_permutation(batch, seed):
    assert_decided(batch, np.random.default_rng(seed).normal(size=sum(map(len, batch))).round(2).tolist())


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 9))
@example(0)
def test_prefixes_and_masks(seed):
    batch = [PREFIX, MASKED]
    assert_decided(batch, np.random.default_rng(seed).normal(size=sum(map(len, batch))).round(2).tolist())


def test_copies_and_block_sizes(monkeypatch):
    batch = [COPIES[:6], PREFIX, [COPIES[n] for n in (5, 4, 3, 2, 1, 0)], COPIES[4:]]
    a = np.random.default_rng(1).normal(size=sum(map(len, batch))).tolist()
    assert_decided(batch, a)
    whole = measured(batch, a)
    monkeypatch.setattr(module, "BLOCK", 1)
    for curve, again in zip(whole, measured(batch, a), strict=True):
        for one, other in zip(curve, again, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_decision_at_the_third_of_four_tokens():
    """Two pairs share half of their path and their outcome, the others nothing: +1 beside a null of -1/3."""
    group = [Row([1, 1, 1, 1]), Row([1, 1, 2, 2]), Row([2, 2, 1, 1]), Row([2, 2, 2, 2])]
    found = measured([group], [1, 1, -1, -1])
    assert found.share.pairs[0].tolist() == [2] * 10 + [0] * 10
    assert found.share.sums[0].tolist() == [2.0] * 10 + [0.0] * 10
    assert found.share.expected[0] == pytest.approx([-2 / 3] * 10 + [0] * 10)
    assert token_points(4).tolist() == [0, 1, 2, 4] and found.tokens.pairs[0].tolist() == [2, 2, 0, 0]
    assert share_points()[[0, 1, 19]].tolist() == [0, 0.05, 0.95]


def test_shares_are_not_rounded():
    """63 of 180 tokens are not more than .35, though 180 * .35 is less than 63 in floating point."""
    assert 180 * 0.35 < 63
    rows = [Row([1] * 63 + [n] * 117) for n in (2, 3)]
    assert measured([rows], [1, -1]).share.pairs[0].tolist() == [1] * 7 + [0] * 13
    assert token_points(0).tolist() == [0] and token_points(7).tolist() == [0, 1, 2, 4]
    assert token_points(8).tolist() == [0, 1, 2, 4, 8]


def test_all_pairs_together_are_exactly_what_the_null_gives():
    """They share the first token, so no permutation moves their sum; rewards of any unit."""
    rng = np.random.default_rng(0)
    group = [Row([1, n]) for n in range(7)]
    for unit in (1.0, 1e-9, 1e9):
        curve = measured([group], unit * rng.normal(size=7)).share
        assert curve.sums[0, 0] == curve.expected[0, 0] != 0
        other = measured([[*group, Row([2])]], unit * rng.normal(size=8)).share
        assert other.sums[0, 0] != other.expected[0, 0]


def test_groups_left_out_have_no_pairs():
    group = [Row([1, 1]), Row([1, 2]), Row([2])]
    found = measured([group, group], [0, 0, 0, 1, -1, 0], kept=[False, True])
    assert found.share.pairs[0].sum() == 0 and found.share.pairs[1].sum() > 0
    nothing = measured([], [])
    assert nothing.share.pairs.shape == (0, 20) and nothing.tokens.pairs.shape == (0, 1)
