"""The forest against the brute-force process sets of the oracle, on groups full of prefixes and duplicates."""

import tracemalloc
from dataclasses import fields
from itertools import pairwise

import numpy as np
import oracle_sets as oracle
import pytest
import strategies
from hypothesis import example, given, settings
from hypothesis import strategies as st

from grpo_prm.core import forest as module
from grpo_prm.core.forest import (
    Forest,
    build_forest,
    completion_lengths,
    completion_sums,
    expand,
    members,
    ranges,
    shared_tokens,
    step_sums,
    unique_index,
    visits,
)
from grpo_prm.core.some_trees import tree_of

TOP = 2**31 - 1
HAND = [[5, 7], [5, 7, 9], [5, 8], [4]]


def plain(*groups):
    """Groups of rows from lists of token lists."""
    return [[oracle.Row(list(tokens)) for tokens in group] for group in groups]


def build(groups):
    tokens, lengths, numbers, _ = strategies.flatten(groups)
    return build_forest(tokens, lengths, numbers)


def offsets_of(groups):
    """Row at which each group begins."""
    return np.cumsum([0] + [len(group) for group in groups])


def row_sets(forest):
    """The member rows of each step."""
    return [frozenset(forest.order[a : a + n].tolist()) for a, n in zip(forest.first, forest.size, strict=True)]


def expected_steps(groups, name=lambda n: n, row=lambda n, i: i):
    """Every step of the oracle: group, member rows, start, end."""
    offsets = offsets_of(groups)
    return {
        (name(n), frozenset(row(n, int(offsets[n]) + i) for i in step.members), step.start, step.end)
        for n, group in enumerate(groups)
        for step in oracle.process_sets(group)
    }


def found_steps(forest):
    steps = list(zip(forest.group.tolist(), row_sets(forest), forest.start.tolist(), forest.end.tolist(), strict=True))
    assert len(set(steps)) == len(steps)
    return set(steps)


def tokens_of(groups):
    """Every token in flat order: group, row inside it, position, process set."""
    return [
        (n, i, t, oracle.process_set(group, i, t))
        for n, group in enumerate(groups)
        for i, row in enumerate(group)
        for t in range(len(row.tokens))
    ]


def check_structure(forest):
    """What must hold between the arrays of any forest: roots, parents, tree order."""
    sets = row_sets(forest)
    for n, above in enumerate(forest.parent.tolist()):
        if above < 0:
            assert forest.start[n] == 0
            assert n == 0 or forest.group[n] > forest.group[n - 1]
        else:
            assert above < n and forest.group[above] == forest.group[n]
            assert sets[above] > sets[n] and forest.end[above] == forest.start[n] < forest.end[n]
            assert n == 0 or forest.group[n] == forest.group[n - 1]
    for one, other in pairwise(range(len(sets))):  # tree order: down to a child, or on to the right
        assert sets[one] > sets[other] or forest.first[other] >= forest.first[one] + forest.size[one]
    assert sorted(forest.order.tolist()) == list(range(len(forest.order)))


def test_by_hand():
    forest = build(plain(HAND))
    assert forest.order.tolist() == [3, 0, 1, 2]
    steps = [forest.parent, forest.first, forest.size, forest.start, forest.end, forest.group]
    assert np.stack(steps, axis=1).tolist() == [
        [-1, 0, 4, 0, 0, 0],  # the root is empty
        [0, 0, 1, 0, 1, 0],  # 4
        [0, 1, 3, 0, 1, 0],  # 5
        [2, 1, 2, 1, 2, 0],  # 5 7, where completion 0 ends
        [3, 2, 1, 2, 3, 0],  # 5 7 9
        [2, 3, 1, 1, 2, 0],  # 5 8
    ]
    assert forest.length.tolist() == [0, 1, 1, 1, 1, 1]
    assert forest.k.tolist() == [4] * 6
    assert forest.intermediate.tolist() == [False, False, True, True, False, False]
    assert expand(forest, forest.size).tolist() == [3, 2, 3, 2, 1, 3, 1, 1]


@given(strategies.forests())
@example([])
@example(plain([[]]))
@example(plain([[], []]))
@example(plain([[], [0], [0], [0, 1]]))
@example(plain([[7]], [[7], [7]], [[]], [[0]]))
@example(plain([[TOP, 0], [TOP, 0, TOP], [TOP]], [[0], [TOP]]))
@example(plain([[1, 2, 3]] * 6))
@example(plain([[1]] * 2 + [[1, 2]] * 2 + [[1, 2, 3]] * 2))
def test_steps_are_those_of_the_definition(groups):
    forest = build(groups)
    assert found_steps(forest) == expected_steps(groups)
    check_structure(forest)
    offsets, sets = offsets_of(groups), row_sets(forest)
    for n, above in enumerate(forest.parent.tolist()):
        group = groups[forest.group[n]]
        local = [frozenset(r - int(offsets[forest.group[n]]) for r in sets[m]) for m in (n, above)]
        steps = {step.members: step for step in oracle.process_sets(group)}
        expected = oracle.parent(list(steps.values()), steps[local[0]])
        assert (above < 0) == (expected is None)
        assert expected is None or expected.members == local[1]


@given(strategies.forests())
def test_kinds_and_sizes(groups):
    forest = build(groups)
    for n, number in enumerate(forest.group.tolist()):
        k, size = len(groups[number]), int(forest.size[n])
        assert forest.k[n] == k and forest.length[n] == forest.end[n] - forest.start[n]
        kind = oracle.kind(frozenset(range(size)), k)
        assert forest.intermediate[n] == (kind == "intermediate")
        assert (forest.parent[n] < 0) == (size == k)
    assert [len(row) for row in (forest.group, forest.parent, forest.end)] == [len(forest.size)] * 3
    assert {a.dtype for a in (forest.order, forest.group, forest.parent, forest.start, forest.first)} == {
        np.dtype("i8")
    }


@given(st.data(), strategies.forests(max_groups=3))
def test_rows_in_any_order_and_groups_of_any_number(data, groups):
    rows = [row.tokens for group in groups for row in group]
    names = data.draw(st.lists(st.integers(-(2**40), 2**40), min_size=len(groups), max_size=len(groups), unique=True))
    number = [name for name, group in zip(names, groups, strict=True) for _ in group]
    at = data.draw(st.permutations(range(len(rows))))  # row at[n] is given as row n
    given_at = {row: n for n, row in enumerate(at)}
    forest = build_forest(
        np.array([t for row in at for t in rows[row]], np.int64),
        [len(rows[row]) for row in at],
        [number[r] for r in at],
    )
    assert found_steps(forest) == expected_steps(groups, lambda n: names[n], lambda _, row: given_at[row])
    check_structure(forest)
    assert forest.group[forest.parent < 0].tolist() == sorted(names)


@given(strategies.forests(max_groups=3), strategies.forests(max_groups=3))
def test_batching_changes_nothing(one, other):
    whole, parts = build(one + other), [build(one), build(other)]
    rows, steps = len(parts[0].order), len(parts[0].size)
    right = parts[1]
    assert whole.order.tolist() == [*parts[0].order, *(right.order + rows)]
    assert whole.first.tolist() == [*parts[0].first, *(right.first + rows)]
    assert whole.parent.tolist() == [*parts[0].parent, *np.where(right.parent < 0, -1, right.parent + steps)]
    for name in ("start", "end", "size"):
        assert getattr(whole, name).tolist() == [*getattr(parts[0], name), *getattr(right, name)]


@pytest.mark.parametrize(("window", "block"), [(1, 1), (1, 3), (2, 1), (2, 8), (3, 7), (5, 1 << 20)])
@given(groups=strategies.forests(max_groups=3))
@settings(max_examples=40)
def test_windows_and_blocks_of_any_size(window, block, groups):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "WINDOW", window)
        patch.setattr(module, "BLOCK", block)
        forest = build(groups)
    assert found_steps(forest) == expected_steps(groups)
    check_structure(forest)


@pytest.mark.parametrize("shared", [0, 1, 31, 32, 33, 159, 160, 161, 671, 672, 673])
@pytest.mark.parametrize("tail", [0, 1, 40])
@pytest.mark.parametrize("extra", [0, 700])
def test_long_prefixes_end_where_they_end(shared, tail, extra):
    """Borders of the windows 32, 32 + 128, 32 + 128 + 512, with and without tokens of others after the last row."""
    prefix = (np.arange(shared) % 7).tolist()
    group = [prefix + [8] * tail, prefix + [9] * tail, prefix + [9] * tail]
    for found in (build(plain(group)), build(plain(group, [[1] * extra]))):
        ends = {
            (s, int(a), int(b)) for s, a, b in zip(row_sets(found), found.start, found.end, strict=True) if 3 not in s
        }
        expected = {(frozenset({0, 1, 2}), 0, shared)}
        if tail:
            expected |= {(frozenset({0}), shared, shared + tail), (frozenset({1, 2}), shared, shared + tail)}
        assert ends == expected


@given(strategies.forests())
def test_members_and_ranges(groups):
    forest = build(groups)
    step, row = members(forest)
    pairs = [(n, r) for n, rows in enumerate(row_sets(forest)) for r in rows]
    assert sorted(zip(step.tolist(), row.tolist(), strict=True)) == sorted(pairs)
    assert step.tolist() == sorted(step.tolist())
    at, opens = ranges(np.array([4, 0, 4]), np.array([2, 1, 3]))
    assert at.tolist() == [4, 5, 0, 4, 5, 6] and opens.tolist() == [0, 2, 3]


@given(st.data(), strategies.forests())
def test_step_sums_and_completion_sums(data, groups):
    forest = build(groups)
    count = len(forest.order)
    whole = data.draw(st.lists(st.integers(-9, 9), min_size=count, max_size=count))
    sums = step_sums(forest, np.array(whole, np.int64))
    assert sums.dtype == np.int64 and sums.tolist() == [sum(whole[r] for r in rows) for rows in row_sets(forest)]
    columns = np.stack([np.array(whole, np.float64), np.ones(count)], axis=1)
    assert step_sums(forest, columns).tolist() == [[s, n] for s, n in zip(sums, forest.size, strict=True)]
    values = np.arange(len(forest.size)) ** 2 - 3.0
    expected = [sum(v for v, rows in zip(values, row_sets(forest), strict=True) if r in rows) for r in range(count)]
    assert completion_sums(forest, values).tolist() == expected
    assert completion_lengths(forest).tolist() == [len(row.tokens) for group in groups for row in group]


def test_a_set_is_summed_on_its_own():
    """No digit is lost to a group of another scale beside it."""
    forest = build(plain([[0], [1]], [[0], [0]], [[0], [0], [1]]))
    assert step_sums(forest, np.array([1e300, -1e299, 0.1, 0.2, 0.1, 0.3, 1e16]))[-2:].tolist() == [0.1 + 0.3, 1e16]


@given(strategies.forests())
def test_expand_gives_every_token_the_value_of_its_set(groups):
    forest = build(groups)
    tokens, offsets = tokens_of(groups), offsets_of(groups)
    assert expand(forest, forest.size).tolist() == [len(s) for _, _, _, s in tokens]
    number = expand(forest, np.arange(len(forest.size), dtype=np.int32))
    assert number.dtype == np.int32
    sets = row_sets(forest)
    assert [sets[n] for n in number] == [frozenset(int(offsets[n]) + j for j in s) for n, _, _, s in tokens]
    assert expand(forest, forest.intermediate).dtype == bool


@given(strategies.forests())
def test_unique_and_shared_tokens(groups):
    forest = build(groups)
    tokens, offsets = tokens_of(groups), offsets_of(groups)
    unique = unique_index(forest).tolist()
    names = [(n, t, s) for n, _, t, s in tokens]
    assert len(set(zip(unique, names, strict=True))) == len(set(names)) == len(set(unique))
    assert set(unique) == set(range(int(forest.length.sum())))
    token, tree, row = (a.tolist() for a in shared_tokens(forest))
    expected = [(x, unique[x], int(offsets[n]) + i) for x, (n, i, _, s) in enumerate(tokens) if len(s) > 1]
    assert sorted(zip(token, tree, row, strict=True)) == expected


@given(strategies.forests())
def test_visits_count_loss_tokens(groups):
    forest = build(groups)
    mask = strategies.flatten(groups)[3]
    found = visits(forest, mask)
    sets = row_sets(forest)
    rows = [row for group in groups for row in group]
    step, row = members(forest)
    assert found.step.tolist() == step.tolist() and found.row.tolist() == row.tolist()
    spans = [range(a, b) for a, b in zip(forest.start, forest.end, strict=True)]
    assert found.tokens.tolist() == [
        sum(oracle.in_loss(rows[r], t) for t in spans[n]) for n, r in zip(step, row, strict=True)
    ]
    assert found.unique.tolist() == [
        sum(any(oracle.in_loss(rows[r], t) for r in s) for t in span) for s, span in zip(sets, spans, strict=True)
    ]
    assert found.completion.tolist() == [sum(oracle.in_loss(r, t) for t in range(len(r.tokens))) for r in rows]
    assert found.unique.sum() == sum(len(oracle.unique_loss_tokens(group)) for group in groups)


def test_no_groups_give_no_steps():
    forest = build_forest([], [], [])
    assert len(forest.order) == len(forest.size) == len(forest.k) == len(forest.intermediate) == 0
    assert step_sums(forest, np.zeros(0)).shape == (0,)
    assert step_sums(forest, np.zeros((0, 3))).shape == (0, 3)
    assert (
        len(completion_sums(forest, np.zeros(0))) == len(expand(forest, np.zeros(0))) == len(unique_index(forest)) == 0
    )


@pytest.mark.parametrize(
    ("lengths", "groups", "message"),
    [
        ([2, 2], [0, 0], "lengths add up to 4, but there are 3 tokens"),
        ([], [], "lengths add up to 0, but there are 3 tokens"),
        ([1, 2], [0], "2 lengths, but 1 groups"),
    ],
)
def test_arrays_that_do_not_fit(lengths, groups, message):
    with pytest.raises(ValueError, match=message):
        build_forest([1, 2, 3], lengths, groups)


def test_the_input_is_left_alone():
    tokens, lengths, numbers, _ = strategies.flatten(plain(HAND, HAND))
    for array in (tokens, lengths, numbers):
        array.flags.writeable = False
    build_forest(tokens, lengths, numbers)


def peak(k, length):
    """Most memory in bytes while the forest of `k` identical completions of `length` tokens is built."""
    tokens = np.tile(np.arange(length, dtype=np.int32), k)
    lengths, groups = np.full(k, length), np.zeros(k, np.int64)
    tracemalloc.start()
    try:
        forest = build_forest(tokens, lengths, groups)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (forest.size.tolist(), forest.end.tolist()) == ([k], [length])
    return most


def test_temporary_memory_is_bounded_whatever_k_is():
    bound = 12 * module.BLOCK  # two windows of int32 ids and their comparison take 9, whatever is compared
    few, many, longer = peak(8, 64 * 4096), peak(512, 4096), peak(512, 8192)
    assert max(few, many, longer) < bound


@given(strategies.forests(), st.randoms(use_true_random=False))
def test_the_trees_of_some_groups_are_those_built_of_their_rows(batch, random):
    """Any order of groups: numbered anew, their rows put end to end."""
    tokens, lengths, groups, _ = strategies.flatten(batch)
    whole, chosen = build_forest(tokens, lengths, groups), list(range(len(batch)))
    random.shuffle(chosen)
    chosen = chosen[: random.randint(0, len(chosen))]
    part = tree_of(whole, np.array(chosen, int))
    tokens, lengths, groups, _ = strategies.flatten([batch[n] for n in chosen])
    alone = build_forest(tokens, lengths, groups)
    for field in fields(Forest):
        assert getattr(part, field.name).tolist() == getattr(alone, field.name).tolist(), field.name
