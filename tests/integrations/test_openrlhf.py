"""Contract with OpenRLHF 0.11 on a CPU, its own code: experience maker, the way to the actor, its training step."""

from types import SimpleNamespace

import pytest
import torch
from integrations import openrlhf_without_gpu  # noqa: F401 - before OpenRLHF is imported

pytest.importorskip("openrlhf.trainer.ray.ppo_actor")
from integrations import openrlhf_toy
from integrations.openrlhf_toy import (
    PROMPTS,
    ROWS,
    K,
    batch,
    by_sets,
    experiences,
    gradient,
    settings,
    trainer,
    with_weights_in_the_loss,
)
from openrlhf.trainer.ppo_utils.experience import (
    balance_experiences,
    make_experience_batch,
    remove_padding_in_sequences,
    split_experience_batch,
)

from grpo_prm.errors import UsageError
from grpo_prm.integrations import openrlhf


def loss_weights(items):
    """Of single rows: the weights where the loss is, in the order of the row's ids."""
    return {tuple(one.sequences.tolist()): one.values[one.action_mask.bool()].tolist() for one in items}


def expected(power=1.0):
    """The same by sets."""
    return {
        tuple(PROMPTS[n // K] + ids): pytest.approx([w for w, flag in zip(row, mask, strict=True) if flag])
        for n, ((ids, mask), row) in enumerate(zip(ROWS, by_sets(power), strict=True))
    }


@pytest.mark.parametrize("dynamic", [False, True], ids=["as-they-come", "balanced"])
def test_weights_reach_the_actor_on_their_tokens(dynamic):
    args = settings()
    made = experiences(args)
    assert [len(one.sequences) for one in made] == [3, 3, 2]
    if dynamic:
        made = balance_experiences(made, args)
    items = [item for one in made for item in remove_padding_in_sequences(split_experience_batch(one))]
    assert loss_weights(items) == expected()
    again = make_experience_batch(items[::-1])  # a micro-batch of the actor: shuffled, padded anew
    assert again.values.shape == again.action_mask.shape
    assert not again.values[:, -1][again.attention_mask[:, -1] == 0].any()


def test_parent_weights():
    items = [item for one in experiences(settings(), 0.5, "parent") for item in split_experience_batch(one)]
    sets = by_sets(0.5)
    first = next(one for one in items if one.sequences[:10].tolist() == PROMPTS[1] + ROWS[5][0])
    assert first.values[2:9].tolist() == pytest.approx([4**-0.5, *sets[5][:-1]])


GRID = [
    {},
    {"actor.loss_agg_mode": "seq-mean-token-mean"},
    {"algo.kl.init_coef": 0.0},
    {"algo.kl.estimator": "k1"},
    {"algo.kl.estimator": "k2", "algo.kl.unbiased_gradient": True},
    {"actor.dual_clip": 3.0},
    {"algo.advantage.estimator": "dr_grpo"},
    {"algo.advantage.estimator": "rloo"},
    {"algo.advantage.is_correction_level": "token", "algo.advantage.is_correction_mode": "clip"},
    {"algo.advantage.is_correction_level": "seq", "algo.advantage.is_correction_threshold": [0.9, 1.2]},
]


@pytest.mark.parametrize("changes", GRID, ids=lambda c: "-".join(map(str, c.values())) or "default")
def test_the_gradient_is_that_of_the_loss_with_the_weight_multiplied_in(changes, monkeypatch):
    args = settings(**changes)
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    ours, plain = gradient(weighed, args), gradient(trainer(args), args)
    expected = with_weights_in_the_loss(args, monkeypatch)
    assert (ours - expected).norm() < 1e-5 * expected.norm()
    assert (plain - expected).norm() > 1e-2 * expected.norm()


def test_without_a_power_it_is_openrlhf_to_the_bit(monkeypatch):
    args = settings()
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    both = batch(args)
    both.values = torch.ones(both.values.shape)
    monkeypatch.setattr(openrlhf_toy, "batch", lambda _: both)
    assert torch.equal(gradient(weighed, args), gradient(trainer(args), args))


def test_a_loss_from_elsewhere_is_noticed():
    other = SimpleNamespace(actor=torch.nn.Identity(), training_step=lambda *_: {})
    openrlhf.weigh_training(other)
    with pytest.raises(UsageError, match="λ-GRPO would be GRPO"):
        other.training_step(None, 0.0, 0)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"algo.advantage.estimator": "gae"}, "estimator gae"),
        ({"algo.advantage.estimator": "reinforce"}, "estimator reinforce has no group"),
        ({"actor.policy_loss_type": "gspo"}, "policy_loss_type gspo"),
        ({"algo.kl.use_loss": False}, "taken off the reward"),
    ],
)
def test_what_is_refused(changes, says):
    with pytest.raises(UsageError, match=says):
        openrlhf.weigh_experiences(SimpleNamespace(strategy=SimpleNamespace(args=settings(**changes))), 1.0, "parent")


def test_a_ratio_of_a_whole_completion_cannot_be_weighted_by_token(monkeypatch):
    args = settings(**{"actor.policy_loss_type": "gspo", "actor.loss_agg_mode": "seq-mean-token-mean"})
    monkeypatch.setattr(openrlhf, "refuse", lambda _: None)
    weighed = trainer(args)
    openrlhf.weigh_training(weighed)
    expected = with_weights_in_the_loss(args, monkeypatch)
    assert (gradient(weighed, args) - expected).norm() > 1e-2 * expected.norm()
