"""Sets of equal states against the definition: brute force over sets of completions."""

from __future__ import annotations

import numpy as np
import oracle_states
import pytest
from core.permuted_case import Case, permuted
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_credit import decision_p
from oracle_rewards import analysed, tolerance
from oracle_sets import Row
from strategies import column, flatten, forests

from grpo_prm.core.forest import build_forest
from grpo_prm.core.groups import Groups
from grpo_prm.core.overlap import completion_overlap, group_overlap
from grpo_prm.core.reliability import reliability_sums
from grpo_prm.core.state_decisions import state_decisions
from grpo_prm.core.state_order import state_order
from grpo_prm.core.states import observations, state_sets, state_sums

Q, P = 8, 9  # tokens of observations


def row(tokens, reward=0.0):
    """A completion in which 8 and 9 are what it read."""
    return Row(tokens, [token < Q for token in tokens], reward)


# Everybody gets to Q or P, by other ways; the last one twice.
MEETING = [
    row([1, Q, 2], 1.0),
    row([2, 2, Q, 3, P, 1], 1.0),
    row([3, P, 1, Q, 1], 0.0),
    row([3, P, 2], 0.0),
    row([1, 1, P, 1, 2, P, 4], 1.0),
    row([1, 1], 0.0),
]
# The pair and its copy are alone in the last two states, the third holds others.
BACK = [
    *(row([n, Q, 1, P, 2, P, P, 3], r) for n, r in ((1, 1.0), (1, 1.0), (2, 0.0))),
    row([3, Q, 1], 1.0),
    row([4], 0.0),
]
COPIES_OF_ANOTHER_MASK = [Row([1, 2, 3, 4], [True, False, True, True], 1.0), Row([1, 2, 3, 4], None, 0.0), row([1, 3])]


def groups_of(batch):
    tokens, lengths, numbers, mask = flatten(batch)
    return Groups(build_forest(tokens, lengths, numbers), tokens, lengths, numbers, column(batch, "reward"), mask)


def seeds(batch):
    return np.arange(len(batch)).astype(np.uint64)


@pytest.mark.slow
@settings(max_examples=60)
@given(forests(min_k=2, max_k=6, length=10))
@example([MEETING])
@example([BACK, MEETING])
@example([COPIES_OF_ANOTHER_MASK])
def test_every_sum_by_the_definition(batch):
    groups = groups_of(batch)
    sets = state_sets(groups)
    found, (order, _) = state_sums(groups, sets), state_order(groups, sets, seeds(batch), 3)
    for n, one in enumerate(analysed([("", 0, str(n), rows) for n, rows in enumerate(batch)])):
        for name, expected in oracle_states.group_sums(one).items():
            value = float(found[name][n])
            assert value == pytest.approx(np.nan if expected is None else expected, abs=1e-9, nan_ok=True), name
        expected = (0, 0) if one.zero else oracle_states.pair_order(one.rows, one.rewards, tolerance(one.rewards))
        assert (order.right[n], order.counted[n]) == expected


@pytest.mark.slow
@settings(max_examples=40)
@given(forests(min_k=2, max_k=6, mask="role", length=10))
@example([MEETING])
@example([MEETING, BACK])
def test_every_decision_by_the_definition(batch):
    groups = groups_of(batch)
    found = state_decisions(groups, state_sets(groups))
    expected = []
    for one in analysed([("", 0, str(n), rows) for n, rows in enumerate(batch)]):
        tables = {} if one.zero else oracle_states.decision_tables(one.rows, one.rewards)
        expected += [decision_p(table) for table in tables.values()]
    np.testing.assert_allclose(sorted(zip(found.p, found.least, strict=True)), sorted(expected), rtol=1e-7)


def test_states_are_equal_observations_whatever_came_before():
    """By hand: Q holds 0, 1 and 2, P 1 to 4, the last one once though it came there twice."""
    groups = groups_of([MEETING])
    sets = state_sets(groups)
    first = len(sets.size) - len(sets.seen)
    members = [set(sets.row[sets.set == n].tolist()) for n in range(first, len(sets.size))]
    assert members == [{0, 1, 2}, {1, 2, 3, 4}]
    assert sets.tokens[sets.states].tolist() == [1 + 1 + 1, 1 + 1 + 1 + 2 + 1]
    # Before: 1 of 0, 4 and 5; 1 1 of 4 and 5; 3 of 2 and 3.
    assert sorted(sets.size[:first].tolist()) == [1, 2, 2, 3]
    assert sets.observations.row[sets.seen].tolist() == [0, 1]


def test_the_last_state_with_another_member_scores():
    """By hand: 0, its copy 1, and 2 are alone in P and in P P; 3 was right, and they read Q with it; 4 has no set.

    0 and 1 beside 2: Q for both, 3 alone is left, ties. Beside 4: the copy is left out, so P P scores them by 2, who
    failed, against the 1/2 of 2 and 3: wrong. 3 beside 2: 1, that of 0 and 1, on both sides, a tie. Beside 4: 2/3 on
    both sides, a tie.
    """
    groups = groups_of([BACK])
    order, _ = state_order(groups, state_sets(groups), seeds([BACK]), 3)
    assert (order.right[0], order.counted[0]) == (1.0 + 0.0 + 0.5 + 0.5, 6)


@settings(max_examples=40)
@given(forests(min_k=2, max_k=5, mask="none"))
def test_without_observations_all_is_shared_by_prefix(batch):
    groups = groups_of(batch)
    found = state_sums(groups, state_sets(groups))
    seen = groups.seen
    overlap = group_overlap(
        groups.forest, seen, completion_overlap(groups.forest, seen), groups.groups, groups.number
    )._asdict()
    for name, values in found.items():
        same = overlap[name] if name in overlap else reliability_sums(groups)[name]
        np.testing.assert_allclose(values, same, atol=1e-9)


@settings(max_examples=40)
@given(forests(min_k=2, max_k=5, mask="role", length=10))
def test_a_prefix_that_is_shared_is_a_state_that_is_shared(batch):
    """Equal prefixes hold equal observations: a set of states is never smaller than the process set of its tokens."""
    for group in batch:
        for i in range(len(group)):
            for (_, t), (_, members) in oracle_states.path(group, i).items():
                assert oracle_states.process_set(group, i, t) <= members
    groups = groups_of(batch)
    found, seen = state_sums(groups, state_sets(groups)), groups.seen
    prefix = group_overlap(groups.forest, seen, completion_overlap(groups.forest, seen), groups.groups, groups.number)
    known = ~np.isnan(prefix.shared_proportion)
    assert (found["shared_proportion"] >= prefix.shared_proportion - 1e-12)[known].all()


def test_what_stands_at_the_end_or_the_beginning_is_no_observation():
    mask = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1], bool)
    found = observations(mask, np.array([6, 2, 0, 3]))
    assert found.row.tolist() == [0, 3]
    assert (found.start.tolist(), found.end.tolist(), found.tokens.tolist()) == ([2, 9], [4, 10], [1, 1])
    assert not len(observations(None, np.array([6])).row) and not len(observations(mask[:0], np.zeros(0)).row)


def branching(rng, k=6):
    """Completions of three turns over two observations."""
    rows = []
    for _ in range(k):
        parts = [[*rng.integers(0, 4, 2).tolist(), *[Q, P][rng.integers(2) :][:1]] for _ in range(3)]
        rows.append(row([*parts[0], *parts[1], *parts[2][:2]], float(rng.normal())))
    return rows


def test_the_null_permutes_rewards_as_that_of_process_sets_does():
    rng = np.random.default_rng(0)
    batch = [branching(rng) for _ in range(4)]
    case, groups = Case(batch), groups_of(batch)
    _, null = state_order(groups, state_sets(groups), case.seeds, 5)
    expected = np.zeros((2, 5))
    for n, group in enumerate(batch):
        for p, values in enumerate(permuted(case, n, case.advantages)):
            expected[:, p] += oracle_states.pair_order(group, values, case.tolerance[n])
    assert null.tolist() == expected.tolist() and null[1].min() > 0


def test_noise_is_ordered_as_often_right_as_wrong():
    """Where rewards are drawn without a look at the states the mean is .5."""
    rng = np.random.default_rng(1)
    batch = [branching(rng) for _ in range(40)]
    groups = groups_of(batch)
    order, null = state_order(groups, state_sets(groups), seeds(batch), 199)
    share = null[0] / null[1]
    assert abs(share.mean() - 0.5) < 4 * share.std() / np.sqrt(len(share))
    assert np.percentile(share, 0.5) < order.right.sum() / order.counted.sum() < np.percentile(share, 99.5)


@settings(max_examples=5)
@given(st.integers(0, 9))
def test_groups_are_on_their_own(seed):
    """Other groups beside it, before it or behind it change nothing, to the last bit."""
    rng = np.random.default_rng(seed)
    batch = [branching(rng, k) for k in (5, 3, 6)]
    together = groups_of(batch)
    sums, (order, _) = (
        state_sums(together, state_sets(together)),
        state_order(together, state_sets(together), seeds(batch), 2),
    )
    for n, group in enumerate(batch):
        alone = groups_of([group])
        own, (mine, _) = state_sums(alone, state_sets(alone)), state_order(alone, state_sets(alone), seeds([group]), 2)
        assert {name: values[n] for name, values in sums.items()} == {name: values[0] for name, values in own.items()}
        assert (order.right[n], order.counted[n]) == (mine.right[0], mine.counted[0])
