"""Factors of λ-GRPO, against sets of prefixes: ragged rows in any order, groups of any size, masks, padded batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_loss import aggregation_weights, matched_scale, parent_factor, position_factor, size_factor
from oracle_sets import Row, in_loss
from strategies import groups

from grpo_prm.core.groups import Groups

KINDS = ("process-set", "parent", "position", "none")


def factor_of(kind, group, power, w):
    if kind == "position":
        return position_factor(group, power, w)
    return {"process-set": size_factor, "parent": parent_factor}[kind](group, power) if kind != "none" else lambda *_: 1


@st.composite
def batches(draw):
    return draw(st.lists(groups(1, 5, mask="any"), min_size=1, max_size=4))


@settings(max_examples=80)
@given(batches(), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from(["dapo", "grpo", "dr_grpo"]), st.randoms())
@example([[Row([1, 2], [False, True]), Row([1, 3], [True, False]), Row([1])]], 1.0, "grpo", None)
@example([[Row([]), Row([])], [Row([5])] * 3, [Row([5, 5]), Row([5]), Row([])]], 1.0, "dapo", None)
def test_factors_are_those_of_the_definition(batch, power, aggregation, order):
    """Rows of groups of several sizes, shuffled over the batch."""
    w = aggregation_weights(batch, aggregation, limit=7)
    rows = [(g, i) for g, group in enumerate(batch) for i in range(len(group))]
    if order:
        order.shuffle(rows)
    tokens = [batch[g][i].tokens for g, i in rows]
    mask = [[in_loss(batch[g][i], t) for t in range(len(batch[g][i].tokens))] for g, i in rows]
    found = Groups.of(tokens, np.zeros(len(rows)), [g for g, _ in rows], mask)
    for kind in KINDS:
        values = found.lambda_weights(power, kind, [w[g][i] for g, i in rows])
        for (g, i), own, loss in zip(rows, values, mask, strict=True):
            factor = factor_of(kind, batch[g], power, w[g])
            assert own.dtype == np.float32 and len(own) == len(loss)
            for t, inside in enumerate(loss):
                # out of the loss the placebo is a mean of others, which no term has
                if kind != "position" or inside:
                    assert own[t] == pytest.approx(factor(i, t), rel=1e-6)


@settings(max_examples=40)
@given(batches(), st.sampled_from([0.5, 1.0]), st.data())
def test_a_matched_scale_is_a_ratio_of_sums_that_add_up(batch, power, data):
    rows = [row for group in batch for row in group]
    a = [[data.draw(st.floats(-2, 2)) for _ in group] for group in batch]
    w = aggregation_weights(batch, "grpo")
    flat_a, flat_w = ([x for of_group in values for x in of_group] for values in (a, w))
    names = [g for g, group in enumerate(batch) for _ in group]
    mask = [[in_loss(row, t) for t in range(len(row.tokens))] for row in rows]
    # `a` of a zero-variance group is 0, and so is one within the tolerance: both sides take what Groups says
    found = Groups.of([row.tokens for row in rows], None, names, mask, advantages=flat_a)
    known = iter(found.advantages.tolist())
    a = [[next(known) for _ in group] for group in batch]
    top, bottom = found.scale_sums(power, flat_w)
    parts = [
        Groups.of(
            [row.tokens for row in group], None, len(group),
            [[in_loss(row, t) for t in range(len(row.tokens))] for row in group], advantages=a[g],
        ).scale_sums(power, w[g])
        for g, group in enumerate(batch)
    ]  # fmt: skip
    assert (top, bottom) == pytest.approx(np.sum(parts, axis=0), rel=1e-12)
    if bottom > 0:
        assert top / bottom == pytest.approx(matched_scale(batch, a, w, power), rel=1e-9)


def test_by_hand():
    ids = torch.tensor([[5, 7, 0], [5, 7, 9], [5, 8, 0], [4, 0, 0]])
    found = Groups.of(ids, [0, 1, 1, 0], 4, lengths=[2, 3, 2, 1])
    assert found.sizes.tolist() == [[3, 2, 0], [3, 2, 1], [3, 1, 0], [1, 0, 0]]
    assert found.lambda_weights().sum().item() == pytest.approx(5)  # 4, 5, 57, 579, 58
    assert found.lambda_weights(0).tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]]
    parent = found.lambda_weights(1.0, "parent")
    torch.testing.assert_close(parent[1], torch.tensor([1 / 4, 1 / 3, 1 / 2]))  # who is alone was one of two before
    torch.testing.assert_close(parent[3], torch.tensor([1 / 4, 0, 0]))
    position = found.lambda_weights(1.0, "position")
    assert position[:, 0].tolist() == pytest.approx([(3 / 3 + 1) / 4] * 4)


def test_memory_follows_the_tokens():
    """64 completions of 16,384 tokens: the tokens take 8 MB, all pairs of completions would take 550 MB."""
    ids = np.zeros((64, 16_384), np.int64)
    ids[32:, 8_000:] = 1
    for kind in ("process-set", "position"):
        weights = Groups.of(list(ids), np.zeros(64), 64).lambda_weights(1.0, kind)
        assert all((row[:8_000] == np.float32(1 / 64)).all() and (row[8_000:] == 1 / 32).all() for row in weights)


def test_one_long_row_costs_its_own_tokens_alone():
    rows = [[1]] * 3_000 + [list(range(1, 100_001))]
    weights = Groups.of(rows, np.zeros(3_001), [*range(3_000), 2_999]).lambda_weights(1.0, "position")
    assert weights[-1][0] == 0.5 and (weights[-1][1:] == 1).all()


def test_what_makes_no_sense_is_refused():
    found = Groups.of([[1], [1]], [0, 1], 2)
    for p in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="give 0 or more"):
            found.lambda_weights(p)
    with pytest.raises(ValueError, match="unknown kind of weights 'child'"):
        found.lambda_weights(1, "child")
    with pytest.raises(ValueError, match="weights has shape"):
        found.lambda_weights(1, "position", [1, 2, 3])
