"""An update against the gradient of the definition, token by token; layouts, micro-batches and controls against it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from oracle_loss import aggregation_weights, matched_scale, parent_factor, position_factor, size_factor
from oracle_sets import Row
from rounding import bound, of_model
from train_models import tiny

from grpo_prm.core.prm import group_advantages
from grpo_prm.train.batch import Batch
from grpo_prm.train.config import TrainConfig
from grpo_prm.train.identity_gap import identity_gap
from grpo_prm.train.packing import token_logprobs
from grpo_prm.train.update import update

K = 4
PROMPTS = [[3, 4, 5], [7, 8], [9]]
ROWS = [
    *([5, 6, 7, 1], [5, 6, 8, 9, 1], [5, 6, 7, 1], []),
    *([4, 4], [4, 4, 1], [5, 1], [4, 5, 6, 7]),
    *([1], [1], [2], [2, 1]),
]
REWARDS = np.array([1.0, 0.0, 0.5, 0.25, 0.0, 1.0, 1.0, 0.0, 0.5, 0.5, 0.5, 0.5])  # the last group says nothing
TRUNCATED = np.array([not row or row[-1] != 1 for row in ROWS])


def batch_of(rewards=REWARDS, rows=ROWS):
    return Batch(PROMPTS, rows, K, np.array(rewards), TRUNCATED)


def config_of(**settings):
    fixed = {"group_size": K, "max_new_tokens": 6, "optimizer": "sgd", "learning_rate": 1.0, "packing": "padded"}
    return TrainConfig(**(fixed | settings))


def stepped(model, config, batch=None, reference=None):
    """Change of every parameter by one update with plain SGD of rate 1, and what was reported."""
    model = copy.deepcopy(model)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    done = update(model, torch.optim.SGD(model.parameters(), lr=1.0), batch or batch_of(), config, reference)
    return {name: (before[name] - p.detach()) for name, p in model.named_parameters()}, done


def by_definition(model, config, factors):
    """Gradient of -Σ w f a log π, a forward pass for every token."""
    model = copy.deepcopy(model)
    groups = [[Row(row) for row in ROWS[n * K : (n + 1) * K]] for n in range(len(PROMPTS))]
    masked = TRUNCATED & config.mask_truncated
    inside = [
        [Row(r.tokens, [not masked[n * K + i]] * len(r.tokens)) for i, r in enumerate(g)] for n, g in enumerate(groups)
    ]
    w = aggregation_weights(inside, config.aggregation, config.max_new_tokens)
    a = group_advantages(REWARDS, np.repeat(np.arange(len(PROMPTS)), K), config.std)
    loss = torch.zeros(())
    for i, row in enumerate(ROWS):
        factor = factors(groups[i // K], w[i // K])
        for t, token in enumerate(row):
            logits = model(torch.tensor([[*PROMPTS[i // K], *row[:t]]])).logits[0, -1] / config.temperature
            loss = loss - (not masked[i]) * w[i // K][i % K] * factor(i % K, t) * a[i] * logits.log_softmax(-1)[token]
    loss.backward()
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


def same(model, found, expected, updates=1):
    """Changes agree but for rounding: of gradients, and of weights, from which the changes are differences."""
    largest, weight = (max(x.abs().max().item() for x in of.values()) for of in (expected, model.state_dict()))
    tokens = sum(len(prompt) * K for prompt in PROMPTS) + sum(map(len, ROWS))
    near = updates * (of_model(model, tokens, backward=True) * largest + bound(2, weight))
    assert near < 1e-2 * largest
    for name, slope in expected.items():
        assert (found[name] - slope).abs().max().item() <= near, name


@pytest.fixture(scope="module")
def model():
    return tiny("qwen2")[0]


CASES = {
    "grpo": ({"power": 0.0}, lambda group, w: lambda i, t: 1.0),
    "half": ({"power": 0.5, "aggregation": "grpo"}, lambda group, w: size_factor(group, 0.5)),
    "paper": ({"power": 1.0, "std": "none"}, lambda group, w: size_factor(group, 1)),
    "masked": ({"power": 1.0, "mask_truncated": True}, lambda group, w: size_factor(group, 1)),
    "limit": ({"power": 2.0, "aggregation": "dr_grpo", "temperature": 0.7}, lambda group, w: size_factor(group, 2)),
    "parent": ({"power": 1.0, "weights": "parent"}, lambda group, w: parent_factor(group, 1)),
    "position": ({"power": 1.0, "weights": "position"}, lambda group, w: position_factor(group, 1, w)),
    "none": ({"power": 1.0, "weights": "none"}, lambda group, w: lambda i, t: 1.0),
}


@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_the_definition(model, name):
    settings, factors = CASES[name]
    expected = by_definition(model, config_of(**settings), factors)
    for packing in ("padded", "tree"):
        for budget in (1, 30, 1 << 20):
            found, done = stepped(model, config_of(**settings, packing=packing, token_budget=budget))
            same(model, found, expected)
            assert done.layout == packing and done.skipped == 0 and done.entropy > 0 and done.kl is None


def test_groups_that_say_nothing_are_not_run(model):
    _, done = stepped(model, config_of())
    assert done.read == 8 * max(len(p) + len(r) - 1 for p, r in [(PROMPTS[0], ROWS[1]), (PROMPTS[1], ROWS[7])])


def test_the_scale_is_matched(model):
    groups = [[Row(row) for row in ROWS[n * K : (n + 1) * K]] for n in range(len(PROMPTS))]
    a = group_advantages(REWARDS, np.repeat(np.arange(len(PROMPTS)), K)).reshape(-1, K).tolist()
    scale = matched_scale(groups, a, aggregation_weights(groups, "dapo"), 1.0)
    assert 0.3 < scale < 0.95
    plain, _ = stepped(model, config_of(power=0.0))
    found, _ = stepped(model, config_of(power=1.0, match_scale=True))
    same(model, found, {name: scale * slope for name, slope in plain.items()})


def test_the_norm_is_matched(model):
    plain, _ = stepped(model, config_of(power=0.0))
    weighed, _ = stepped(model, config_of(power=1.0))
    norms = [sum(slope.double().pow(2).sum() for slope in x.values()).sqrt() for x in (plain, weighed)]
    assert norms[1] < 0.95 * norms[0]
    found, _ = stepped(model, config_of(power=1.0, match_norm=True))
    same(model, found, {name: (norms[1] / norms[0]).float() * slope for name, slope in plain.items()})


@pytest.mark.parametrize("power", [0.0, 1.0])
def test_several_updates_and_a_reference_agree_between_layouts(model, power):
    frozen = tiny("qwen2", seed=1)[0]

    def reference(layout):
        with torch.no_grad():
            return token_logprobs(frozen, layout)

    settings = {"power": power, "beta": 0.3, "updates_per_batch": 3, "learning_rate": 0.1}
    results = []
    for packing, budget in (("padded", 1 << 20), ("tree", 1 << 20), ("tree", 9)):
        found, done = stepped(model, config_of(**settings, packing=packing, token_budget=budget), reference=reference)
        results.append(found)
        assert done.kl > 0 and done.clipped > 0  # the second and third step are off policy
    for other in results[1:]:
        same(model, other, results[0], updates=3)


def test_equal_rewards_leave_the_weights_exactly_as_they_are_but_the_optimizer_is_called(model):
    one = copy.deepcopy(model)
    optimizer = torch.optim.Adam(one.parameters(), lr=1.0)
    done = update(one, optimizer, batch_of(np.full(len(ROWS), 0.7)), config_of())
    assert done.grad_norm == 0 and done.loss == 0 and done.skipped == 0
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), model.parameters(), strict=True))
    assert all(state["step"] == 1 for state in optimizer.state.values()) and optimizer.state


def test_a_reward_that_is_no_number_leaves_its_completion_out(model):
    rewards = REWARDS.copy()
    rewards[1] = np.nan
    advantages = group_advantages(rewards, np.repeat(np.arange(3), K))
    assert advantages[1] == 0 and advantages[0] != 0
    found, done = stepped(model, config_of(power=1.0), batch_of(rewards))
    assert done.skipped == 0 and any(slope.any() for slope in found.values())
    assert all(torch.isfinite(slope).all() for slope in found.values())


def test_no_token_in_the_loss_is_no_gradient(model):
    batch = replace(batch_of(), truncated=np.ones(len(ROWS), bool))
    found, done = stepped(model, config_of(mask_truncated=True), batch)
    assert done.grad_norm == 0 and not any(slope.any() for slope in found.values())
    empty = Batch([[3]], [[], []], 2, np.array([0.0, 1.0]), np.ones(2, bool))
    found, done = stepped(model, config_of(group_size=2), empty)
    assert done.grad_norm == 0 and done.skipped == 0


def test_what_is_not_finite_is_skipped_and_counted(model):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        broken.lm_head.weight[3] = float("inf")
    found, done = stepped(broken, config_of(updates_per_batch=2))
    assert done.skipped == 2 and np.isnan(done.loss)
    assert not any(slope.nan_to_num().any() for slope in found.values())


def test_the_norm_is_bounded_where_asked(model):
    free, done = stepped(model, config_of())
    clipped, reported = stepped(model, config_of(max_grad_norm=done.grad_norm / 4))
    same(model, clipped, {name: slope / 4 for name, slope in free.items()})
    assert reported.grad_norm == pytest.approx(done.grad_norm)


@pytest.mark.parametrize("settings", [{}, {"aggregation": "grpo"}, {"mask_truncated": True, "std": "none"}])
def test_theorem_one_holds_for_the_gradients_of_a_model(model, settings):
    gap = identity_gap(copy.deepcopy(model), batch_of(), config_of(**settings))
    assert 0 < gap < 1e-5


def test_the_gap_sees_what_is_random_for_each_completion(model):
    noisy = copy.deepcopy(model).train()
    noisy.model.layers[0].mlp.register_forward_hook(lambda _m, _i, out: torch.nn.functional.dropout(out, 0.3))
    assert identity_gap(noisy, batch_of(), config_of()) > 1e-2
    assert identity_gap(copy.deepcopy(model), batch_of(np.full(len(ROWS), 1.0)), config_of()) is None


def test_a_gap_that_is_not_finite_is_none(model):
    broken = copy.deepcopy(model)
    with torch.no_grad():
        next(iter(broken.parameters())).mul_(1e30)
    assert identity_gap(broken, batch_of(), config_of()) is None


def test_the_gap_is_measured_on_the_first_groups_with_an_advantage(model, monkeypatch):
    def noise(_module, _given, out):
        return out * torch.rand(out.shape, generator=torch.Generator().manual_seed(0))

    noisy = copy.deepcopy(model)
    noisy.model.layers[0].mlp.register_forward_hook(noise)
    equal, first, second = [1.0] * K, [1.0, 0.0, 0.5, 0.25], [0.0, 1.0, 1.0, 0.0]
    whole, rows = [*equal, *first, *second], [*ROWS[8:], *ROWS[:8]]
    small = identity_gap(noisy, batch_of([*equal, *first, *equal], rows), config_of())
    both = identity_gap(noisy, batch_of(whole, rows), config_of())
    for tokens, expected in ((1, small), (4 * 2 + 13, small), (4 * 2 + 13 + 4 * 1 + 11, both)):
        monkeypatch.setattr("grpo_prm.train.identity_gap.ENOUGH", tokens)
        assert (
            identity_gap(noisy, batch_of(whole, rows), config_of()) == expected != {small: both, both: small}[expected]
        )
