"""Overlap by hand on small groups, and group by group against the definitions."""

from __future__ import annotations

import numpy as np
import oracle_sets as oracle
import pytest
from hypothesis import example, given
from oracle_sets import Row
from strategies import flatten, forests

from grpo_prm.core.forest import build_forest, visits
from grpo_prm.core.overlap import GroupOverlap, completion_overlap, group_overlap, identical

# Four open with 1; three of them go on with 2, where one ends; the last two are the same.
SIX = [[1, 2, 3], [1, 2, 4, 4], [1, 2], [1, 5], [6, 7], [6, 7]]


def rows(tokens, masks=None):
    masks = masks or [None] * len(tokens)
    return [
        Row(list(ids), None if mask is None else [m == "1" for m in mask])
        for ids, mask in zip(tokens, masks, strict=True)
    ]


def overlap(*batch):
    """Overlap of completions and of groups."""
    tokens, lengths, groups, mask = flatten(list(batch))
    forest = build_forest(tokens, lengths, groups)
    seen = visits(forest, mask)
    each = completion_overlap(forest, seen)
    return each, group_overlap(forest, seen, each, groups, len(batch))


def of_group(found, n):
    return GroupOverlap(*(values[n] for values in found))


def test_six_completions_by_hand():
    each, found = overlap(rows(SIX))
    assert each.path_depth.tolist() == [2, 2, 2, 1, 1, 1]
    assert each.intermediate.tolist() == each.shared.tolist() == [2, 2, 2, 1, 2, 2]
    assert of_group(found, 0)._asdict() == pytest.approx({
        "path_depth": 9 / 6,
        "intermediate_proportion": (2 / 3 + 2 / 4 + 1 + 1 / 2 + 1 + 1) / 6,
        "shared_proportion": (2 / 3 + 2 / 4 + 1 + 1 / 2 + 1 + 1) / 6,
        "intermediate_steps": 3,  # 1, 12, 67
        "process_steps": 6,  # and 3, 44, 5
        "step_size": 4 + 3 + 2 + 1 + 1 + 1,
        "intermediate_tokens": 4 + 3 + 2 * 2,
        "identical_tokens": 2 * 2,  # 67, twice
    })  # fmt: skip


def test_what_all_share_is_not_intermediate():
    """The same six after a common token: |λ| = k there."""
    each, found = overlap(rows([[0, *ids] for ids in SIX]))
    assert each.path_depth.tolist() == [2, 2, 2, 1, 1, 1]
    assert each.intermediate.tolist() == [2, 2, 2, 1, 2, 2] and each.shared.tolist() == [3, 3, 3, 2, 3, 3]
    assert of_group(found, 0)._asdict() == pytest.approx({
        "path_depth": 9 / 6,
        "intermediate_proportion": (2 / 4 + 2 / 5 + 2 / 3 + 1 / 3 + 2 / 3 + 2 / 3) / 6,
        "shared_proportion": (3 / 4 + 3 / 5 + 1 + 2 / 3 + 1 + 1) / 6,
        "intermediate_steps": 3,
        "process_steps": 7,
        "step_size": 6 + 4 + 3 + 2 + 1 + 1 + 1,
        "intermediate_tokens": 11,
        "identical_tokens": 4,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("tokens", "depth", "shared", "non_trivial"),
    [
        ([[1, 2], [1, 3]], 0.0, 0.5, 0),  # two completions: one token is the root's, and there is no room between
        ([[1, 2], [1, 2]], 0.0, 1.0, 0),  # identical, but all of the group
        ([[1, 2], [1, 3], [4]], 2 / 3, 1 / 3, 1),
        ([[1, 2], [1, 3], [1, 4]], 0.0, 0.5, 0),  # three of three
        ([[1], [1, 2], [1, 2]], 2 / 3, 1.0, 1),  # a strict prefix leaves the set where it ends
        ([[1], [1, 2], [1, 3]], 0.0, 2 / 3, 0),
        ([[], [1], [1]], 2 / 3, 1.0, 1),  # an empty completion has depth 0 and no proportion
        ([[], [], [1]], 0.0, 0.0, 0),
        ([[1, 1, 1]], 0.0, 0.0, 0),  # one alone: its set has size 1
    ],
)
def test_small_groups_by_hand(tokens, depth, shared, non_trivial):
    found = of_group(overlap(rows(tokens))[1], 0)
    assert (found.path_depth, found.shared_proportion) == pytest.approx((depth, shared))
    assert found.intermediate_steps == non_trivial
    assert found.intermediate_proportion == pytest.approx(0.0 if not non_trivial else found.intermediate_proportion)


def test_masked_tokens_are_compared_but_not_counted():
    # 1 is out of the loss for all of its three: no step, no depth. 2 is in the loss for one of two members.
    group = rows([[1, 2, 3], [1, 2, 4], [1, 5], [6]], ["010", "001", "01", "0"])
    each, found = overlap(group)
    assert each.path_depth.tolist() == [1, 1, 0, 0]
    assert each.intermediate.tolist() == each.shared.tolist() == [1, 0, 0, 0]
    assert of_group(found, 0)._asdict() == pytest.approx({
        "path_depth": 2 / 4,
        "intermediate_proportion": 1 / 3,
        "shared_proportion": 1 / 3,
        "intermediate_steps": 1,
        "process_steps": 3,  # 12, 4 and 5
        "step_size": 2 + 1 + 1,
        "intermediate_tokens": 1,
        "identical_tokens": 0,
    })  # fmt: skip


def test_without_loss_tokens_there_is_no_proportion():
    each, found = overlap(rows([[1, 2], [1, 3], [4]], ["10", "10", "0"]), rows([[1], [1], [2]], ["0", "0", "0"]))
    assert each.path_depth.tolist() == [1, 1, 0, 0, 0, 0]
    assert found.path_depth.tolist() == pytest.approx([2 / 3, 0])
    assert np.isnan(found.intermediate_proportion).tolist() == np.isnan(found.shared_proportion).tolist()
    assert np.isnan(found.shared_proportion).tolist() == [False, True] and found.shared_proportion[0] == 1
    assert found.process_steps.tolist() == [1, 0]


def test_a_completion_out_of_the_loss_has_no_depth_though_its_sets_count():
    each, found = overlap(rows([[1, 2], [1, 2], [3]], ["11", "00", "1"]))
    assert each.path_depth.tolist() == [1, 0, 0] and found.path_depth[0] == pytest.approx(1 / 3)
    assert found.intermediate_steps[0] == 1 and found.intermediate_proportion[0] == 1 / 2


def test_identical_sets_are_intermediate_ones_that_nothing_follows():
    tokens, lengths, groups, _ = flatten([rows([[1, 2], [1, 2], [1], [3], [4, 4], [4, 4]]), rows([[5], [5]])])
    forest = build_forest(tokens, lengths, groups)
    found = {
        frozenset(forest.order[a : a + n].tolist())
        for a, n, same in zip(forest.first, forest.size, identical(forest), strict=True)
        if same
    }
    assert found == {frozenset({0, 1}), frozenset({4, 5})}  # neither {0, 1, 2}, which ends one, nor a whole group
    assert identical(build_forest([], [], [])).tolist() == []


@given(forests())
@example([])
@example([rows([[], []]), rows([[7]]), rows(SIX), rows(SIX, ["101", "0110", "01", "00", "11", "01"])])
def test_every_group_has_what_the_definitions_give(batch):
    each, found = overlap(*batch)
    at = iter(range(len(each.path_depth)))
    for n, group in enumerate(batch):
        loss, counted, k = oracle.loss_tokens(group), oracle.counted_sets(group), len(group)
        for i in range(k):
            row = next(at)
            own = [members for j, _, members in loss if j == i]
            assert each.path_depth[row] == oracle.path_depth(group, i)
            assert each.intermediate[row] == sum(1 < len(members) < k for members in own)
            assert each.shared[row] == sum(len(members) > 1 for members in own)
        between = oracle.intermediate_tokens(group)
        one = of_group(found, n)
        assert one.path_depth == pytest.approx(np.mean([oracle.path_depth(group, i) for i in range(k)]))
        for name in ("intermediate_proportion", "shared_proportion"):
            mean = oracle.mean_over(group, getattr(oracle, name))
            assert getattr(one, name) == pytest.approx(np.nan if mean is None else mean, nan_ok=True)
        assert one.intermediate_steps == sum(1 < len(members) < k for members in counted)
        assert one.process_steps == len(counted)
        assert one.step_size == sum(len(members) for members in counted)
        assert one.intermediate_tokens == len(between)
        assert one.identical_tokens == sum(oracle.identical(group, members) for _, _, members in between)
