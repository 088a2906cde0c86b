"""The two free checks of logged log-probabilities, against sums over explicit prefixes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from oracle_sets import Row, process_set
from strategies import flatten, forests

from grpo_prm.core.forest import build_forest
from grpo_prm.core.identity import identity_gap, logprob_check

NAN = float("nan")


def check(batch, a, x, *, masked=True):
    """`logprob_check` of groups of rows; a and x are flat lists."""
    tokens, lengths, groups, mask = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    return logprob_check(forest, np.array(a, float), np.array(x, float), groups, len(batch), mask if masked else None)


def by_prefix(batch, a, x):
    """The same six sums per group: collect what the members of every prefix said of its last token."""
    row_at, token_at, found = iter(range(len(a))), iter(x), []
    for group in batch:
        said, several, own = {}, {}, [a[next(row_at)] for _ in group]
        for i, row in enumerate(group):
            for t in range(len(row.tokens)):
                value = next(token_at)
                if math.isfinite(value) and (row.mask is None or row.mask[t]):
                    prefix = tuple(row.tokens[: t + 1])
                    said.setdefault(prefix, []).append((value, own[i]))
                    several[prefix] = len(process_set(group, i, t)) > 1
        sums, spreads = [0.0, 0.0, 0.0], []
        for prefix, members in said.items():
            centre = sum(value for value, _ in members) / len(members)
            of_set = sum(gain for _, gain in members) / len(members)
            for value, gain in members:
                p = math.exp(value - centre)
                sums = [sums[0] + p * gain, sums[1] + p * of_set, sums[2] + abs(p * gain)]
            if several[prefix]:
                spreads.append(max(members)[0] - min(members)[0])
        found.append((*sums, sum(spreads), len(spreads), max(spreads, default=0.0)))
    return found


@st.composite
def batches(draw):
    """Groups, an advantage for every completion and a log-probability, perhaps none, for every token."""
    batch = draw(forests())
    rows = [row for group in batch for row in group]
    a = draw(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 1.0, 1.5]), min_size=len(rows), max_size=len(rows)))
    number = sum(len(row.tokens) for row in rows)
    x = draw(st.lists(st.sampled_from([-0.25, -1.0, -3.5, NAN, -math.inf]), min_size=number, max_size=number))
    return batch, a, x


@given(batches())
@example(([], [], []))
@example(([[Row([])], [Row([]), Row([])]], [1.0, 2.0, -2.0], []))
@example(([[Row([7], [True]), Row([7], [False])]], [1.0, -1.0], [-1.0, -2.0]))  # one of two members in the loss
@example(([[Row([7]), Row([7])], [Row([7]), Row([8])]], [1.0, -1.0, 0.5, -2.0], [-1.0, NAN, -0.25, -3.5]))
def test_the_sums_are_those_over_prefixes(case):
    batch, a, x = case
    found = check(batch, a, x)
    assert [len(column) for column in found] == [len(batch)] * 6
    for n, expected in enumerate(by_prefix(batch, a, x)):
        assert [column[n] for column in found] == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(batches())
def test_without_a_mask_every_token_is_in_the_loss(case):
    batch, a, x = case
    plain = [[Row(row.tokens) for row in group] for group in batch]
    for one, other in zip(check(batch, a, x, masked=False), check(plain, a, x), strict=True):
        np.testing.assert_array_equal(one, other)


@given(forests(mask="none"), st.integers(0, 2**32 - 1))
def test_rows_that_agree_leave_neither_gap_nor_spread(batch, seed):
    rng, known = np.random.default_rng(seed), {}
    x = [
        known.setdefault((n, tuple(row.tokens[: t + 1])), float(rng.uniform(-5, 0)))
        for n, group in enumerate(batch)
        for row in group
        for t in range(len(row.tokens))
    ]
    a = rng.normal(size=sum(len(group) for group in batch))
    found = check(batch, a, x)
    np.testing.assert_allclose(found.with_outcome, found.with_step, atol=1e-12)
    assert not found.spread.any() and not found.largest.any()


def test_by_hand():
    # Both share 7 and differ in its probability: P = e^(1/2) and e^(-1/2), A = 0. Then each goes its own way: P = 1.
    found = check([[Row([7, 1]), Row([7, 2, 2])]], [1.0, -1.0], [-1.0, -9.0, -2.0, -9.0, -9.0])
    up, down = math.exp(0.5), math.exp(-0.5)
    assert found.with_outcome[0] == pytest.approx(up + 1 - down - 2)
    assert found.with_step[0] == pytest.approx(1 - 2)
    assert found.absolute[0] == pytest.approx(up + 1 + down + 2)
    assert (found.spread[0], found.shared[0], found.largest[0]) == (1.0, 1, 1.0)


def test_the_spread_is_a_mean_over_unique_shared_tokens_and_has_a_maximum():
    # Three share the first token (x from -3 to -1), two of them the second (x from -2 to -1.5); the third token is own.
    rows = [Row([7, 8, 1]), Row([7, 8, 2]), Row([7, 9])]
    found = check([rows], [1.0, 0.0, -1.0], [-1.0, -2.0, -5.0, -3.0, -1.5, -6.0, -2.0, -7.0])
    assert (found.spread[0], found.shared[0], found.largest[0]) == (2.5, 2, 2.0)


def test_groups_do_not_mix():
    one, other = [Row([7]), Row([7])], [Row([7]), Row([7]), Row([7])]
    a, x = [1.0, -1.0, 2.0, -1.0, -1.0], [-1.0, -2.0, -0.5, -0.5, -4.0]
    both, first, second = check([one, other], a, x), check([one], a[:2], x[:2]), check([other], a[2:], x[2:])
    for whole, left, right in zip(both, first, second, strict=True):
        assert whole.tolist() == pytest.approx([left[0], right[0]], rel=1e-14)
    assert both.largest.tolist() == [1.0, 3.5]


def test_single_precision_is_worked_on_in_double():
    tokens, lengths, groups, _ = flatten([[Row([7]), Row([7])]])
    x = np.array([-1.0, np.nextafter(np.float32(-1.0), np.float32(0))], np.float32)
    found = logprob_check(build_forest(tokens, lengths, groups), np.array([1.0, -1.0]), x, groups, 1)
    assert {column.dtype for column in found} == {np.dtype(np.float64)}
    assert found.largest[0] == float(x[1]) - float(x[0]) > 0
    assert found.with_outcome[0] == pytest.approx(-found.largest[0], rel=1e-6)  # e^(-d/2) - e^(d/2)


def test_the_gap_is_a_share_of_all_that_is_added_up():
    assert identity_gap(3.0, 1.0, 8.0) == identity_gap(1.0, 3.0, 8.0) == 0.25
    assert identity_gap(2.0, 2.0, 8.0) == 0.0
    assert math.isnan(identity_gap(0.0, 0.0, 0.0))
    found = check([[Row([7]), Row([7])]], [1.0, -1.0], [-1.0, -2.0])
    assert identity_gap(found.with_outcome[0], found.with_step[0], found.absolute[0]) == pytest.approx(math.tanh(0.5))


def test_sentinels_take_no_part_and_nothing_overflows():
    """-inf and -9999 stand where a sampler has no value; two usable values may lie too far apart for exp."""
    rows = [Row([7]), Row([7]), Row([7])]
    for sentinel in (-math.inf, -9999.0, -9984.0, -746.0, -1e30, NAN, math.inf, 0.1, 1e30):
        found = check([rows], [1.0, -1.0, 0.5], [-1.0, sentinel, -1.0])
        assert [column[0] for column in found] == [1.5, 1.5, 1.5, 0, 1, 0]
    far = check([rows[:2]], [1.0, -1.0], [-745.0, -1.0])
    assert all(np.isfinite(column).all() for column in far) and far.largest[0] == 744.0
    assert far.absolute[0] == pytest.approx(math.exp(300))
