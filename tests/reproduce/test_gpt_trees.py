"""Stacked models against one GPT-2 of transformers at a time, with the trainer's weights and loss on completions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import weights_of

from grpo_prm.core.loss import policy_loss, unit_terms
from grpo_prm.core.prm import group_advantages
from grpo_prm.reproduce.gpt_trees import MODELS, log_odds, tiny_gpt2, train_gpt_trees
from grpo_prm.reproduce.methods import METHODS
from grpo_prm.reproduce.tabular import paper_tree

pytestmark = pytest.mark.slow

RATES = {"adam": [0.003, 0.001], "sgd": [0.1, 0.03]}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def chosen_logprobs(model, ids):
    """Log-probability of each decision of completions, shape (rows, depth), between the two decisions alone."""
    tokens = torch.cat([torch.zeros(len(ids), 1, dtype=torch.int64), ids[:, :-1] + 1], 1)
    logits = model(tokens, use_cache=False).logits[..., 1:]
    return logits.log_softmax(-1).gather(-1, ids[..., None])[..., 0]


def loss_of(model, ids, advantages, power, kind, factor=1.0):
    k, depth = ids.shape
    weights = torch.full((k, depth), 1 / (k * depth), dtype=torch.float64)
    factors = factor * weights_of.factors(ids, k, power, kind)
    terms = unit_terms(
        torch.arange(k * depth), k * depth, advantages.repeat_interleave(depth), weights.flatten(), factors.flatten()
    )
    logprobs = chosen_logprobs(model, ids).flatten()
    return policy_loss(logprobs, logprobs.detach(), terms)


def gradient_of(model, *loss):
    return torch.autograd.grad(loss_of(model, *loss), list(model.parameters()))


def set_gradient(model, method, ids, advantages):
    made = gradient_of(model, ids, advantages, 0.0 if method.control else method.power, method.kind)
    factor = 1.0
    if method.control == "norm" and advantages.any():
        wanted = gradient_of(model, ids, advantages, method.power, method.kind)
        factor = torch.cat([g.flatten() for g in wanted]).norm() / torch.cat([g.flatten() for g in made]).norm()
    if method.control == "scale" and advantages.any():
        shrunk = weights_of.factors(ids, len(ids), method.power)
        size = advantages.abs()[:, None].expand_as(shrunk)
        factor = (shrunk * size).sum() / size.sum()
    for weight, slope in zip(model.parameters(), made, strict=True):
        weight.grad = factor * slope


def plain_run(tree, method, rate, seed, optimizer, k, steps):
    """Target probabilities of one model that is trained alone."""
    model, rng = tiny_gpt2(seed), np.random.default_rng([seed, 16])
    update = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[optimizer](model.parameters(), lr=rate)
    every = torch.tensor([[(leaf >> (tree.depth - 1 - t)) & 1 for t in range(tree.depth)] for leaf in range(16)])
    likely = []
    for _ in range(steps):
        with torch.no_grad():
            chance = chosen_logprobs(model, every).sum(-1).double().exp().numpy()
        likely.append(chance[tree.target])
        leaves = np.searchsorted(np.cumsum(chance), rng.random(k), side="right")
        advantages = torch.from_numpy(group_advantages(tree.rewards[leaves], np.zeros(k, int)))
        set_gradient(model, method, every[leaves], advantages)
        update.step()
    return likely


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_runs_are_those_of_one_model_alone(optimizer):
    tree, seeds, rates = paper_tree(1, -1.0), [3, 4], RATES[optimizer]
    found = train_gpt_trees(tree, METHODS, rates, seeds, optimizer=optimizer, steps=12)
    assert np.ptp(found[:, 1, 1, -1]) > 1e-3  # methods differ
    for number, method in enumerate(METHODS):
        alone = plain_run(tree, method, rates[1], seeds[1], optimizer, 16, 12)
        np.testing.assert_allclose(found[number, 1, 1], alone, atol=2e-5, err_msg=method.name)


def test_log_odds_are_those_of_every_prefix():
    model = tiny_gpt2(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(weight.numel()))
        found = log_odds({name: weight[None] for name, weight in model.named_parameters()}, 5)[0]
        for node in range(1, 32):
            prefix = [0] + [1 + int(bit) for bit in f"{node:b}"[1:]]
            logits = model(torch.tensor([prefix]), use_cache=False).logits[0, -1]
            assert found[node - 1] == pytest.approx((logits[2] - logits[1]).item(), abs=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_models_of_a_batch_know_nothing_of_each_other(optimizer):
    """Alone, and among others that fill more than one batch."""
    tree, seeds, norm = paper_tree(1, -1.0), range(MODELS // len(METHODS) + 2), METHODS[5]
    among = train_gpt_trees(tree, METHODS, RATES[optimizer], seeds, optimizer=optimizer, steps=6)
    for seed in (1, seeds[-1]):
        alone = train_gpt_trees(tree, [norm], RATES[optimizer][1:], [seed], optimizer=optimizer, steps=6)
        np.testing.assert_allclose(alone[0, 0, 0], among[5, 1, seed], atol=1e-5)


def test_the_same_seeds_give_the_same_run():
    one, two = (
        train_gpt_trees(paper_tree(1, -1.0), METHODS, [0.01], [7, 8], optimizer="adam", k=6, steps=10) for _ in range(2)
    )
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_a_flat_tree_teaches_nothing(optimizer):
    flat = paper_tree(1, 1.0, others=1.0)
    found = train_gpt_trees(flat, METHODS, RATES[optimizer], [1], optimizer=optimizer, steps=4)
    np.testing.assert_array_equal(found, np.broadcast_to(found[:1, :1, :, :1], found.shape))
