"""Theorem 1 in its plain, weighted and clipped forms, as values and as gradients, against sums over explicit sets."""

from __future__ import annotations

import numpy as np
import oracle
import oracle_loss
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from oracle_sets import Row, process_set, process_sets, unique_loss_tokens
from strategies import column, flatten, forests

from grpo_prm.core.forest import build_forest, expand, unique_index, visits
from grpo_prm.core.prm import (
    beyond,
    completion_weights,
    contest,
    group_advantages,
    sign_split_sums,
    step_means,
    zero_tolerance,
    zero_variance,
)

torch.set_num_threads(1)  # tensors of a few numbers

AGGREGATIONS = ("dapo", "bnpo", "grpo", "dr_grpo")
LIMIT = 9


def loss_mask(tokens, mask):
    return np.ones(len(tokens), bool) if mask is None else mask


def by_prefix(batch, rng):
    """A ratio and a KL term for every prefix, per token: they depend on the prefix only."""
    table, ratio, kl = {}, [], []
    for number, group in enumerate(batch):
        for row in group:
            for t in range(len(row.tokens)):
                key = (number, tuple(row.tokens[: t + 1]))
                p, d = table.setdefault(key, (float(rng.uniform(0.3, 2.0)), float(rng.uniform(0, 1))))
                ratio.append(p)
                kl.append(d)
    return np.array(ratio), np.array(kl)


@given(forests(min_k=1), st.sampled_from(["sample", "population", "none", "batch"]))
@example([[Row([1], reward=0.1), Row([2], reward=0.1 + 1e-9)]], "sample")  # equal but for the last digits
@example([[Row([1], reward=float("nan")), Row([2], reward=1.0)]], "sample")  # one finite reward
@example([[Row([1], reward=float("inf")), Row([2], reward=1.0), Row([2], reward=0.0)]], "batch")
def test_group_advantages_match_the_definition(batch, std):
    _, _, groups, _ = flatten(batch)
    rewards = column(batch, "reward")
    expected = [a for g in batch for a in oracle.group_advantages([r.reward for r in g], std, rewards.tolist())]
    np.testing.assert_allclose(group_advantages(rewards, groups, std), expected, rtol=1e-12, atol=1e-12)
    assert zero_variance(rewards, groups).tolist() == [oracle.zero_variance([r.reward for r in g]) for g in batch]


@given(st.floats(-1e6, 1e6), st.integers(1, 9))
def test_a_zero_variance_group_has_advantage_exactly_zero(reward, k):
    assert (group_advantages(np.full(k, reward), np.zeros(k, int)) == 0).all()


@pytest.mark.parametrize(
    ("rewards", "zero"),
    [
        ([0.0, 1e-6], True),  # the bound itself; below a size of 1 it does not shrink
        ([0.0, 1.1e-6], False),
        ([1e-9, 2e-9], True),
        ([1e6, 1e6 + 1], True),  # beyond it grows, by the larger of the two in size
        ([-1e6 - 1, -1e6], True),
        ([1e6, 1e6 + 1.1], False),
        ([0.0, float("nan"), 1.0], False),
        ([float("nan"), float("inf")], True),
    ],
)
def test_zero_variance_is_measured_against_1_and_the_size_of_the_rewards(rewards, zero):
    assert zero_variance(np.array(rewards), np.zeros(len(rewards), int)).tolist() == [zero]


@given(forests(mask="none"), st.integers(0, 2**32 - 1))
def test_theorem_1_loss(batch, seed):
    tokens, lengths, groups, _ = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    a = group_advantages(column(batch, "reward"), groups)
    ratio, _ = by_prefix(batch, np.random.default_rng(seed))
    outcome, step = ratio @ np.repeat(a, lengths), ratio @ expand(forest, step_means(forest, a))
    assert step == pytest.approx(outcome, abs=1e-9)


@given(forests(), st.sampled_from(AGGREGATIONS), st.integers(0, 2**32 - 1))
def test_step_means_and_weights_match_the_sets(batch, aggregation, seed):
    tokens, lengths, groups, mask = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    loss = visits(forest, mask).completion
    w = completion_weights(aggregation, loss, LIMIT)
    expected = [x for group in oracle_loss.aggregation_weights(batch, aggregation, LIMIT) for x in group]
    if loss.sum():
        np.testing.assert_allclose(w, expected, rtol=1e-12)
    a = np.random.default_rng(seed).normal(size=len(lengths))
    means, plain, opens = expand(forest, step_means(forest, a, w)), expand(forest, step_means(forest, a)), 0
    at = iter(range(len(tokens)))
    for group in batch:
        for i, row in enumerate(group):
            for t in range(len(row.tokens)):
                member = [opens + j for j in process_set(group, i, t)]
                n = next(at)
                assert means[n] == pytest.approx(np.average(a[member], weights=w[member]), abs=1e-12)
                assert plain[n] == pytest.approx(a[member].mean(), abs=1e-12)
        opens += len(group)


@given(forests(), st.sampled_from(AGGREGATIONS), st.integers(0, 2**32 - 1))
def test_weighted_theorem_1_loss_and_gradient(batch, aggregation, seed):
    tokens, lengths, groups, mask = flatten(batch)
    forest, rng = build_forest(tokens, lengths, groups), np.random.default_rng(seed)
    m, at, row = loss_mask(tokens, mask), unique_index(forest), np.repeat(np.arange(len(lengths)), lengths)
    w = completion_weights(aggregation, visits(forest, mask).completion, LIMIT)
    a, beta = rng.normal(size=len(lengths)), 0.3
    split = sign_split_sums(forest, a, w, m)
    unique = len(split.weight)
    # x: one log-ratio per unique tree token; the probability ratio and the KL term depend on the prefix only.
    x = torch.tensor(rng.normal(size=unique) * 0.5, requires_grad=True)
    token_x, weight = x[at], torch.tensor(w[row] * m)
    tokenwise = (weight * (token_x.exp() * torch.tensor(a[row]) - beta * (torch.exp(-token_x) + token_x - 1))).sum()
    plus, minus, total = (torch.tensor(part) for part in split)
    treewise = (x.exp() * (plus + minus) - beta * total * (torch.exp(-x) + x - 1)).sum()
    assert treewise.item() == pytest.approx(tokenwise.item(), abs=1e-9)
    gradients = [torch.autograd.grad(loss, x)[0] for loss in (tokenwise, treewise)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@given(forests(), st.sampled_from(AGGREGATIONS), st.floats(0.05, 0.4), st.floats(0.05, 0.6), st.integers(0, 2**32 - 1))
def test_clipped_theorem_1_loss_and_gradient(batch, aggregation, low, high, seed):
    tokens, lengths, groups, mask = flatten(batch)
    forest, rng = build_forest(tokens, lengths, groups), np.random.default_rng(seed)
    m, at, row = loss_mask(tokens, mask), unique_index(forest), np.repeat(np.arange(len(lengths)), lengths)
    w = completion_weights(aggregation, visits(forest, mask).completion, LIMIT)
    a = group_advantages(column(batch, "reward"), groups)
    split = sign_split_sums(forest, a, w, m)
    x = torch.tensor(rng.normal(size=len(split.plus)) * 0.5, requires_grad=True)
    ratio, gain = x.exp()[at], torch.tensor(a[row])
    clipped = torch.minimum(ratio * gain, ratio.clamp(1 - low, 1 + high) * gain)
    tokenwise = (torch.tensor(w[row] * m) * clipped).sum()
    plus, minus = torch.tensor(split.plus), torch.tensor(split.minus)
    treewise = (x.exp().clamp(max=1 + high) * plus + x.exp().clamp(min=1 - low) * minus).sum()
    assert treewise.item() == pytest.approx(tokenwise.item(), abs=1e-9)
    gradients = [torch.autograd.grad(loss, x)[0] for loss in (tokenwise, treewise)]
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-9, atol=1e-9)


@given(forests(max_groups=1), st.integers(0, 2**32 - 1))
def test_sign_split_sums_match_the_sets_with_any_mask(batch, seed):
    tokens, lengths, groups, mask = flatten(batch)
    forest, rng = build_forest(tokens, lengths, groups), np.random.default_rng(seed)
    a, w = rng.normal(size=len(lengths)), rng.uniform(0.1, 2, size=len(lengths))
    split, opens = sign_split_sums(forest, a, w, loss_mask(tokens, mask)), np.cumsum(forest.length) - forest.length
    node = {}
    for n in range(len(forest.size)):
        node[frozenset(forest.order[forest.first[n] : forest.first[n] + forest.size[n]].tolist())] = n
    for group in batch:
        for (members, t), having in unique_loss_tokens(group).items():
            n = node[members]
            u = opens[n] + t - forest.start[n]
            expected = oracle.sign_sums(group, members, t, a.tolist(), w.tolist())
            assert (split.plus[u], split.minus[u]) == pytest.approx(expected, abs=1e-12)
            assert split.weight[u] == pytest.approx(w[having].sum(), abs=1e-12)
        assert int(forest.length.sum()) == sum(end - start for _, start, end in process_sets(group))


@given(forests(mask="none"))
def test_without_a_mask_a_step_has_one_pair_of_sums(batch):
    tokens, lengths, groups, _ = flatten(batch)
    forest = build_forest(tokens, lengths, groups)
    a = group_advantages(column(batch, "reward"), groups)
    steps, unique = sign_split_sums(forest, a), sign_split_sums(forest, a, mask=np.ones(len(tokens), bool))
    for of_step, of_token in zip(steps, unique, strict=True):
        np.testing.assert_allclose(np.repeat(of_step, forest.length), of_token, atol=1e-12)


def test_contest_is_0_in_agreement_and_1_at_a_draw():
    forest = build_forest([7, 7, 7, 7, 8], [1, 1, 1, 1, 1], [0, 0, 1, 1, 1])
    found = contest(sign_split_sums(forest, np.array([1.0, 2.0, 3.0, -3.0, 0.0])))
    by_size = dict(zip(zip(forest.group.tolist(), forest.size.tolist(), strict=True), found.tolist(), strict=True))
    assert by_size[0, 2] == 0 and by_size[1, 2] == 1 and np.isnan(by_size[1, 1])


def test_tolerance_follows_the_size_of_the_advantages():
    a, groups = np.array([1.0, -3.0, 0.0, 1e-9]), np.array([0, 0, 1, 1])
    np.testing.assert_allclose(zero_tolerance(a, groups), [3e-12, 1e-21])
    np.testing.assert_allclose(zero_tolerance(a, groups, logged=True), [3e-6, 1e-6])
    assert beyond(np.array([1e-12, 1e-12]), np.array([1e-12, -2e-12])).tolist() == [0.0, -2e-12]


def test_weights_refuse_what_they_cannot_do():
    with pytest.raises(ValueError, match="token_limit"):
        completion_weights("dr_grpo", np.array([3]))
    with pytest.raises(ValueError, match="gspo"):
        completion_weights("gspo", np.array([3]))
