"""The tree of counts against the trainer's own weights and loss on the written-out completions."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from weights_of import factors

from grpo_prm.core.loss import policy_loss, unit_terms
from grpo_prm.core.prm import group_advantages
from grpo_prm.reproduce.defect import exact_change, sampled_change
from grpo_prm.reproduce.methods import METHODS, Method
from grpo_prm.reproduce.tabular import ascent, leaf_probabilities, paper_tree, target_gradient
from grpo_prm.reproduce.tree_runs import train_trees


def written_out(counts, tree, pairs, power, kind):
    """Gradient with respect to the two logits of every node, by the trainer's functions."""
    leaves = [leaf for leaf, count in enumerate(counts) for _ in range(count)]
    k, depth = len(leaves), tree.depth
    ids = torch.tensor([[(leaf >> (depth - 1 - t)) & 1 for t in range(depth)] for leaf in leaves])
    weights = torch.full((k, depth), 1 / (k * depth), dtype=torch.float64)
    factor = factors(ids, k, power, kind)
    advantages = torch.from_numpy(group_advantages(tree.rewards[leaves], np.zeros(k, int)))
    nodes = [torch.tensor(pair, dtype=torch.float64, requires_grad=True) for pair in pairs]
    logprobs = torch.stack(
        [
            nodes[t][leaf >> (depth - t)].log_softmax(-1)[(leaf >> (depth - 1 - t)) & 1]
            for leaf in leaves
            for t in range(depth)
        ]
    )
    terms = unit_terms(
        torch.arange(k * depth), k * depth, advantages.repeat_interleave(depth), weights.flatten(), factor.flatten()
    )
    policy_loss(logprobs, logprobs.detach(), terms._replace(factor=terms.factor.double())).backward()
    return [-node.grad.numpy() for node in nodes]


@settings(max_examples=60)
@given(st.data())
def test_the_step_is_that_of_the_trainer(data):
    depth = data.draw(st.integers(1, 3))
    tree = paper_tree(
        1, data.draw(st.sampled_from([-1.0, 0.0])), depth=depth, target=data.draw(st.integers(0, 2**depth - 1))
    )
    counts = np.array(
        data.draw(st.lists(st.integers(0, 3), min_size=2**depth, max_size=2**depth).filter(lambda c: sum(c) > 1))
    )
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pairs = [rng.normal(size=(1 << level, 2)) for level in range(depth)]
    kind, power = (
        data.draw(st.sampled_from(["process-set", "parent", "position"])),
        data.draw(st.sampled_from([0.0, 0.5, 1.0])),
    )
    found = ascent(counts, tree.rewards, [pair[:, 1] - pair[:, 0] for pair in pairs], power, kind)
    for slope, of_pair in zip(found, written_out(counts, tree, pairs, power, kind), strict=True):
        np.testing.assert_allclose(slope, of_pair[:, 1], atol=1e-7)
        np.testing.assert_allclose(-slope, of_pair[:, 0], atol=1e-7)


def test_probabilities_and_the_slope_of_the_target():
    rng = np.random.default_rng(0)
    tree, logits = paper_tree(1, -1.0), [rng.normal(size=1 << level) for level in range(4)]
    chance = leaf_probabilities(logits)
    assert chance.sum() == pytest.approx(1) and chance.shape == (16,)
    for level, slope in enumerate(target_gradient(tree, logits)):
        for node in range(1 << level):
            ends = []
            for sign in (-1, 1):
                moved = [at.copy() for at in logits]
                moved[level][node] += sign * 1e-6
                ends.append(np.log(leaf_probabilities(moved)[tree.target]))
            assert slope[node] == pytest.approx((ends[1] - ends[0]) / 2e-6, abs=1e-8)


@pytest.mark.parametrize(("shared", "bad"), [(1, 7), (2, 3), (3, 1)])
def test_the_leaves_of_the_paper(shared, bad):
    tree = paper_tree(shared, -1.0)
    assert (
        (tree.rewards == -1).sum() == bad and tree.rewards[tree.target] == 1 and (tree.rewards == 0.7).sum() == 15 - bad
    )


@pytest.mark.parametrize(
    ("kind", "power"), [("process-set", 0.0), ("process-set", 1.0), ("parent", 1.0), ("position", 0.5)]
)
def test_all_groups_counted_is_all_draws_averaged(kind, power):
    """Every one of the 4^3 draws of three completions, one by one."""
    tree = paper_tree(1, -1.0, depth=2, target=1)
    logits = [np.zeros(1), np.zeros(2)]
    slopes = target_gradient(tree, logits)
    changes = []
    for draw in product(range(4), repeat=3):
        made = ascent(np.bincount(draw, minlength=4), tree.rewards, logits, power, kind)
        changes.append([2 * (slope * step).sum() for slope, step in zip(slopes, made, strict=True)])
    found = exact_change(tree, 3, power, kind)
    np.testing.assert_allclose(found.decisions, np.mean(changes, axis=0), atol=1e-14)
    drawn = sampled_change(tree, 3, power, kind, groups=20_000, seed=1)
    assert abs(drawn.total - found.total) < 4 * drawn.error


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_runs_are_those_of_torch(optimizer):
    """One run by hand: the same draws, the trainer's gradient, torch's optimizer."""
    tree, method = paper_tree(1, -1.0, depth=2, target=1), Method("p = 1", 1.0)
    found = train_trees(tree, [Method("p = 0"), method], [0.3, 0.1], [5, 6], optimizer=optimizer, k=6, steps=5)
    pairs = [torch.zeros(1 << level, 2, dtype=torch.float64, requires_grad=True) for level in range(2)]
    made = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimizer](pairs, lr=0.1)
    rng, likely = np.random.default_rng([6, 16]), []
    for _ in range(5):
        logits = [(pair[:, 1] - pair[:, 0]).detach().numpy() for pair in pairs]
        chance = leaf_probabilities(logits)
        likely.append(chance[1])
        leaves = np.searchsorted(np.cumsum(chance), rng.random(6), side="right")
        gradient = written_out(
            np.bincount(leaves, minlength=4), tree, [p.detach().tolist() for p in pairs], 1.0, "process-set"
        )
        for pair, slope in zip(pairs, gradient, strict=True):
            pair.grad = -torch.from_numpy(slope)
        made.step()
    np.testing.assert_allclose(found[1, 1, 1], likely, atol=1e-6)


def test_controls_are_grpo_made_smaller():
    """With one step of plain SGD each control moves as GRPO does, by a common factor below 1."""
    tree = paper_tree(1, -1.0)
    by_name = {method.name: method for method in METHODS}
    chosen = [by_name[name] for name in ("p = 0", "scale-matched", "norm-matched", "p = 1")]
    found = np.log(train_trees(tree, chosen, [1e-4], range(40), steps=2))
    moved = (found[..., 1] - found[..., 0])[:, 0]
    for control in (1, 2):
        ratio = moved[control] / moved[0]
        assert (ratio > 0).all() and (ratio < 1).all()


def test_seeds_share_their_draws():
    tree = paper_tree(1, -1.0)
    alone = train_trees(tree, METHODS[2:3], [4.0], [3], steps=20)
    among = train_trees(tree, METHODS, [1.0, 4.0], [1, 3], steps=20)
    np.testing.assert_array_equal(alone[0, 0, 0], among[2, 1, 1])
