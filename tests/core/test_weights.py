"""Process-set sizes and factors of a padded batch, against sets of prefixes and against the forest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from oracle_loss import aggregation_weights, parent_factor, position_factor, size_factor
from oracle_sets import Row, in_loss, process_set
from strategies import flatten, groups

import grpo_prm.core.weights as module
from grpo_prm.core.forest import build_forest, expand
from grpo_prm.core.weights import lambda_weights, process_set_sizes, token_factors

WAYS = (process_set_sizes, module._by_forest, module._by_pairs)  # on the processor, and on an accelerator


def padded(batch):
    """ids and attended of groups of one size, and the mask of the loss, all (rows, T)."""
    rows = [row for group in batch for row in group]
    width = max([len(row.tokens) for row in rows], default=0)
    attended = torch.tensor([[t < len(row.tokens) for t in range(width)] for row in rows], dtype=torch.bool)
    attended = attended.reshape(len(rows), width)
    ids = torch.zeros(len(rows), width, dtype=torch.long)  # pad is an id like any other
    ids[attended] = torch.tensor([t for row in rows for t in row.tokens], dtype=torch.long)
    mask = torch.tensor([[t < len(r.tokens) and in_loss(r, t) for t in range(width)] for r in rows], dtype=torch.bool)
    return ids, attended, mask.reshape(len(rows), width)


@st.composite
def batches(draw, mask="none"):
    k = draw(st.integers(1, 5))
    return draw(st.lists(groups(k, k, mask=mask), min_size=1, max_size=3))


@settings(max_examples=80)
@given(batches())
@example([[Row([]), Row([])]])
@example([[Row([0, 0]), Row([0])]])  # the second ends where the padding goes on with the same id
@example([[Row([5])] * 3, [Row([5, 5]), Row([5]), Row([])]])
def test_sizes_are_those_of_the_process_sets(batch):
    ids, attended, _ = padded(batch)
    rows = [(group, i) for group in batch for i in range(len(group))]
    for way in WAYS:
        if not ids.numel() and way is not process_set_sizes:
            continue
        for (group, i), found, on in zip(rows, way(ids, attended, len(batch[0])), attended, strict=True):
            assert found[on].tolist() == [len(process_set(group, i, t)) for t in range(len(group[i].tokens))]
            assert not found[~on].any() and found.dtype == torch.int64


@pytest.mark.parametrize("block", [1, 1 << 24])
def test_tensors_and_arrays_agree_on_a_large_batch(block, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(0)
    batch = [[Row(rng.integers(0, 2, rng.integers(0, 30)).tolist()) for _ in range(12)] for _ in range(9)]
    ids, attended, _ = padded(batch)
    tokens, lengths, index, _ = flatten(batch)
    forest = build_forest(tokens, lengths, index)
    found = module._by_pairs(ids, attended, 12)[attended]
    assert found.tolist() == expand(forest, forest.size).tolist() and found.unique().numel() > 3


@pytest.mark.parametrize("way", WAYS)
def test_memory_is_bounded_whatever_the_group_size(way):
    """64 completions of 16,384 tokens: the tokens themselves take 8 MB, all pairs of completions would take 550 MB."""
    ids = torch.zeros(64, 16_384, dtype=torch.int64)
    ids[32:, 8_000:] = 1
    sizes = way(ids, torch.ones_like(ids, dtype=torch.bool), 64)
    assert (sizes[:, :8_000] == 64).all() and (sizes[:, 8_000:] == 32).all()


@settings(max_examples=60)
@given(batches("any"), st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.sampled_from(["dapo", "grpo", "dr_grpo"]))
@example([[Row([1, 2], [False, True]), Row([1, 3], [True, False]), Row([1])]], 1.0, "grpo")
def test_factors_are_those_of_the_definition(batch, power, aggregation):
    ids, attended, mask = padded(batch)
    k = len(batch[0])
    sizes = process_set_sizes(ids, attended, k)
    w = aggregation_weights(batch, aggregation, limit=7)
    rows = torch.tensor([x for of_group in w for x in of_group], dtype=torch.float64)
    for kind in ("process-set", "parent", "position", "none"):
        found = token_factors(sizes, k, power, kind, rows[:, None] * mask)
        assert found.dtype == torch.float32 and not found[~attended].any()
        for g, group in enumerate(batch):
            factor = {
                "process-set": size_factor(group, power),
                "parent": parent_factor(group, power),
                "position": position_factor(group, power, w[g]),
                "none": lambda *_: 1.0,
            }[kind]
            for i, row in enumerate(group):
                for t in range(len(row.tokens)):
                    if kind != "position" or mask[g * k + i, t]:
                        assert found[g * k + i, t].item() == pytest.approx(factor(i, t), rel=1e-6)


def test_by_hand():
    ids = torch.tensor([[5, 7, 0], [5, 7, 9], [5, 8, 0], [4, 0, 0]])
    attended = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 0], [1, 0, 0]])
    sizes = process_set_sizes(ids, attended, 4)
    assert sizes.tolist() == [[3, 2, 0], [3, 2, 1], [3, 1, 0], [1, 0, 0]]
    assert lambda_weights(ids, attended, 4).sum().item() == pytest.approx(5)  # 4, 5, 57, 579, 58
    assert (lambda_weights(ids, attended, 4, power=0) == attended).all()
    parent = token_factors(sizes, 4, 1.0, "parent")
    torch.testing.assert_close(parent[1], torch.tensor([1 / 4, 1 / 3, 1 / 2]))  # who is alone was one of two before
    torch.testing.assert_close(parent[3], torch.tensor([1 / 4, 0, 0]))


def test_what_makes_no_sense_is_refused():
    sizes = torch.ones(2, 1, dtype=torch.int64)
    with pytest.raises(ValueError, match="power is -1"):
        token_factors(sizes, 2, -1)
    with pytest.raises(ValueError, match="give weights"):
        token_factors(sizes, 2, 1.0, "position")
    with pytest.raises(ValueError, match="unknown weights 'child'"):
        token_factors(sizes, 2, 1.0, "child")
