"""λ-GRPO in the Tinker cookbook: on a stand-in everywhere, and on the cookbook's own code where it is installed.

The service computes the losses, so they cannot be run here: the gradients are those of its documented formulas.
"""

import asyncio
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import stand_in_tinker
import torch
from integrations.tinker_toy import config, restored
from oracle_rows import made_rows, row_factors

from grpo_prm.errors import UsageError
from grpo_prm.integrations import tinker as lambda_tinker


@pytest.fixture(params=["stand-in", "installed"])
def modules(request, monkeypatch):
    """`tinker` and `tinker_cookbook.rl.train`, plain again after the test."""
    if request.param == "stand-in":
        return stand_in_tinker.install(monkeypatch)
    tinker = pytest.importorskip("tinker")
    train = pytest.importorskip("tinker_cookbook.rl.train")
    restored(monkeypatch, train)
    return tinker, train


def made_data(tinker, seed):
    """Datums of rows in any order, with tool output out of the loss; targets are shifted by one."""
    rng = np.random.default_rng(seed)
    rows, starts, groups = made_rows(seed)
    data = []
    for row, start in zip(rows, starts, strict=True):
        mask = np.array([0.0] * (start - 1) + [1.0, *rng.integers(0, 2, max(0, len(row) - start - 1))])[: len(row) - 1]
        given = rng.normal(size=len(row) - 1)
        inputs = {"target_tokens": np.array(row[1:]), "mask": mask, "advantages": given.astype(np.float32)}
        data.append(tinker.Datum(model_input=tinker.ModelInput.from_ints(row[:-1]), loss_fn_inputs=inputs))
    return data, rows, starts, groups


def usable(seed):
    """Seeds whose rows all have a target (a service takes no sequence of one token)."""
    return all(len(row) > 1 for row in made_rows(seed)[0])


SEEDS = [seed for seed in range(40) if usable(seed)][:4]


@pytest.mark.parametrize("kind", ["process-set", "parent"])
@pytest.mark.parametrize("seed", SEEDS)
def test_advantages_are_multiplied_with_counted_factors(modules, seed, kind):
    data, rows, starts, groups = made_data(modules[0], seed)
    before = [datum.loss_fn_inputs["advantages"].to_numpy().copy() for datum in data]
    lambda_tinker.attach(data, groups, 1.0, kind)
    lambda_tinker.multiply(data)
    expected = row_factors(rows, starts, groups, 1.0, kind)
    for datum, plain, start, factors in zip(data, before, starts, expected, strict=True):
        assert sorted(datum.loss_fn_inputs) == ["advantages", "mask", "target_tokens"]
        full = np.concatenate([np.ones(start - 1), factors])
        np.testing.assert_allclose(datum.loss_fn_inputs["advantages"].to_numpy(), plain * full, rtol=1e-6)


def test_no_power_changes_no_bit(modules):
    data, *_, groups = made_data(modules[0], SEEDS[0])
    before = [datum.loss_fn_inputs["advantages"].to_numpy().copy() for datum in data]
    lambda_tinker.attach(data, groups, 0.0)
    lambda_tinker.multiply(data)
    for datum, plain in zip(data, before, strict=True):
        assert np.array_equal(datum.loss_fn_inputs["advantages"].to_numpy(), plain)


def test_pictures_are_compared_by_what_they_show(modules):
    """Each of two tokens in the input, which the targets hold as 0: an answer to another picture is another one."""
    tinker, _ = modules

    def picture(shown):
        return SimpleNamespace(shown=shown, length=2)

    data = []
    for shown in ("cat", "cat", "dog"):
        chunks = [SimpleNamespace(tokens=[7, 1]), picture(shown), SimpleNamespace(tokens=[4])]
        inputs = {
            "target_tokens": np.array([1, 0, 0, 4, 5]),
            "mask": np.array([1.0, 0.0, 0.0, 0.0, 1.0]),
            "advantages": np.ones(5),
        }
        data.append(tinker.Datum(model_input=SimpleNamespace(chunks=chunks), loss_fn_inputs=inputs))
    lambda_tinker.attach(data, [0, 0, 0])
    lambda_tinker.multiply(data)
    found = [datum.loss_fn_inputs["advantages"].to_numpy()[[0, 4]].tolist() for datum in data]
    assert found == [pytest.approx([1 / 3, 1 / 2])] * 2 + [pytest.approx([1 / 3, 1.0])]


# What the service documents of each loss, for one token: log π, that of the sampler, and the advantage.
LOSSES = {
    "importance_sampling": lambda new, old, a: -(new - old).exp() * a,
    "ppo": lambda new, old, a: -torch.minimum((new - old).exp() * a, (new - old).exp().clamp(0.8, 1.2) * a),
    "cispo": lambda new, old, a: -(new - old).exp().clamp(0.8, 1.2).detach() * new * a,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_that_of_the_weighted_loss(modules, loss):
    """A factor on the advantage is a factor on the token's loss, clipped tokens of either sign among them."""
    data, rows, starts, groups = made_data(modules[0], SEEDS[0])
    plain = [torch.tensor(datum.loss_fn_inputs["advantages"].to_numpy()).double() for datum in data]
    lambda_tinker.attach(data, groups)
    lambda_tinker.multiply(data)
    generator = torch.Generator().manual_seed(0)
    for datum, advantages, start, factors in zip(
        data, plain, starts, row_factors(rows, starts, groups, 1.0, "process-set"), strict=True
    ):
        old = -torch.rand(len(advantages), generator=generator).double()
        new = (old + torch.randn(len(advantages), generator=generator) * 0.5).requires_grad_()
        weights = torch.tensor(np.concatenate([np.ones(start - 1), factors]))
        expected = torch.autograd.grad((LOSSES[loss](new, old, advantages) * weights).sum(), new)[0]
        weighed = torch.tensor(datum.loss_fn_inputs["advantages"].to_numpy()).double()
        got = torch.autograd.grad(LOSSES[loss](new, old, weighed).sum(), new)[0]
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("loss", ["stable_reinforce", "dro", "gspo", "cross_entropy", "custom"])
def test_a_loss_that_is_not_in_proportion_is_refused(modules, loss):
    lambda_tinker.switch_on()
    with pytest.raises(UsageError, match=loss):
        asyncio.run(modules[1].main(config(loss)))


def test_a_penalty_on_the_prompt_is_refused(modules):
    lambda_tinker.switch_on()
    with pytest.raises(UsageError, match="kl_discount_factor"):
        asyncio.run(modules[1].main(config(penalty=0.1, discount=0.9)))


def test_a_module_that_took_main_before_is_named(modules, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_recipe", SimpleNamespace(main=modules[1].main))
    with pytest.raises(UsageError, match="a_recipe"):
        lambda_tinker.switch_on()


def test_the_penalty_is_weighted_too_and_a_second_call_replaces_the_first(modules, monkeypatch):
    tinker, train = stand_in_tinker.install(monkeypatch)
    lambda_tinker.switch_on(3.0)
    lambda_tinker.switch_on(1.0)
    rows = [[9, 1, 1], [9, 1, 2]]
    group = [
        tinker.Datum(
            model_input=tinker.ModelInput.from_ints(row[:-1]),
            loss_fn_inputs={"target_tokens": row[1:], "mask": [1.0, 1.0], "advantages": [0.5, 0.5]},
        )
        for row in rows
    ]
    data, metrics, usage = asyncio.run(train.prepare_minibatch(None, [group], None, 0.25))
    assert [datum.loss_fn_inputs["advantages"].to_numpy().tolist() for datum in data] == [[0.375, 0.75]] * 2
    assert (metrics, usage) == ({"kl_policy_base": 0.25}, "usage")
    assert asyncio.run(train.main(passed := config())) is passed
