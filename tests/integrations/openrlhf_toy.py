"""OpenRLHF's own experience maker and training step on invented rollouts and a CPU, for its contract tests."""

from types import SimpleNamespace

import torch
from integrations import openrlhf_without_gpu  # noqa: F401 - before OpenRLHF is imported
from openrlhf.models import PolicyLoss
from openrlhf.models import loss as losses
from openrlhf.models.actor import Actor
from openrlhf.trainer.ppo_utils.experience import (
    Experience,
    make_experience_batch,
    remove_padding_in_sequences,
    split_experience_batch,
)
from openrlhf.trainer.ppo_utils.experience_maker import RemoteExperienceMaker
from openrlhf.trainer.ray import ppo_actor
from openrlhf.utils.loss_utils import get_loss_batch_info
from transformers import Qwen2Config, Qwen2ForCausalLM

from grpo_prm.integrations import openrlhf

K = 4
PROMPTS = [[7, 7, 7], [7, 7, 7]]  # drawn twice: two groups that share nothing
# Completion and loss mask, the K rows of a prompt after one another; in the first group a tool's words part two rows.
ROWS = [
    ([10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ([10, 11, 90, 92, 12], [1, 1, 0, 0, 1]),
    ([10, 11, 90, 91, 12], [1, 1, 0, 0, 1]),
    ([10, 13], [1, 1]),
    ([10], [1]),
    ([10, 11, 22, 23, 24, 25, 26], [1] * 7),
    ([10, 11, 22, 23], [1] * 4),
    ([30, 31], [1, 1]),
]


def settings(**changes):
    """The arguments of `train_ppo_ray` that matter here, by their dotted names."""
    values = {
        "actor.policy_loss_type": "ppo", "actor.eps_clip_low_high": (0.2, 0.2), "actor.dual_clip": None,
        "actor.loss_agg_mode": "token-mean", "actor.entropy_coef": None, "actor.num_nodes": 1,
        "actor.num_gpus_per_node": 2, "ds.ring_attn_size": 1, "ds.tensor_parallel_size": 1,
        "algo.advantage.estimator": "group_norm", "algo.advantage.gamma": 1.0, "algo.advantage.no_std_norm": False,
        "algo.advantage.is_correction_level": "off", "algo.advantage.is_correction_mode": "mask",
        "algo.advantage.is_correction_gating": "ratio", "algo.advantage.is_correction_threshold": [0.5, 5.0],
        "algo.kl.use_loss": True, "algo.kl.init_coef": 0.3, "algo.kl.estimator": "k3",
        "algo.kl.unbiased_gradient": False,
        "rollout.n_samples_per_prompt": K, "rollout.micro_batch_size": 3, "reward.clip_range": None,
        "train.dynamic_batch_enable": False,
    } | changes  # fmt: skip
    args = SimpleNamespace()
    for path, value in values.items():
        section, name = path.split(".", 1)
        at = args.__dict__.setdefault(section, SimpleNamespace())
        if "." in name:
            part, name = name.split(".")
            at = at.__dict__.setdefault(part, SimpleNamespace())
        setattr(at, name, value)
    return args


def rollout(n):
    """One rollout as the samples generator makes it."""
    completion, mask = ROWS[n]
    ids = PROMPTS[n // K] + completion
    action = torch.tensor([0] * (len(ids) - len(mask)) + mask)[1:]
    return Experience(
        sequences=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        action_mask=action[None], rewards=torch.tensor([float(n % 3)]), prompts=["p"], labels=["l"], images=[None],
        mm_train_inputs=[None], response_length=torch.tensor([len(mask)]), truncated=torch.tensor([False]),
        total_length=torch.tensor([float(len(ids))]), info={"reward": torch.tensor([float(n % 3)])},
    )  # fmt: skip


def prepared_maker(args, power, kind):
    """OpenRLHF's experience maker with weights, but for the forward passes."""
    maker = RemoteExperienceMaker(
        None, None, None, None, SimpleNamespace(value=0.3), SimpleNamespace(args=args), SimpleNamespace(pad_token_id=0)
    )
    openrlhf.weigh_experiences(maker, power, kind)

    def make_experience(made):
        for one in made:
            generator = torch.Generator().manual_seed(int(one.sequences.sum()))
            values = -1.5 + 0.3 * torch.randn(3, *one.action_mask.shape, generator=generator)
            one.action_log_probs, one.base_action_log_probs, one.rollout_log_probs = values * one.action_mask
            one.kl = torch.zeros(one.action_mask.shape)
        return made

    maker.make_experience = make_experience
    return maker


def experiences(args, power=1.0, kind="process-set"):
    """All rollouts as the experience maker makes them, in micro-batches that cut groups."""
    return prepared_maker(args, power, kind).make_experience_batch([rollout(n) for n in range(len(ROWS))])


def by_sets(power=1.0):
    """|λ|^-p of each completion's tokens by counting rows of its group that agree up to the token."""
    return [
        [sum(ids[: t + 1] == other[: t + 1] for other, _ in ROWS[n // K * K :][:K]) ** -power for t in range(len(ids))]
        for n, (ids, _) in enumerate(ROWS)
    ]


def actor(seed=0):
    """OpenRLHF's own Actor around a tiny model."""
    torch.manual_seed(seed)
    config = Qwen2Config(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=64,
    )  # fmt: skip
    found = Actor(Qwen2ForCausalLM(config))
    found.packing_samples = False
    return found


class Strategy:
    """What a training step asks of DeepSpeed: the gradient, and nothing after it."""

    ring_attn_group = None

    def __init__(self, args):
        self.args = args

    def backward(self, loss, model, _optimizer):
        model.zero_grad()
        loss.backward()

    def optimizer_step(self, *_, **__):
        pass

    def get_grad_norm(self, _):
        return 0.0


def trainer(args):
    """OpenRLHF's own actor trainer without its optimizer, its buffer and its engines."""
    made = object.__new__(ppo_actor.ActorPPOTrainer)
    made.strategy, made.args, made.actor, made.actor_optim, made.ema_model = Strategy(args), args, actor(), None, None
    made.actor_scheduler, made.replay_buffer, made.aux_loss = SimpleNamespace(get_last_lr=lambda: [0.0]), None, False
    advantage = args.algo.advantage
    made.actor_loss_fn = PolicyLoss(
        *args.actor.eps_clip_low_high, args.actor.dual_clip, args.actor.loss_agg_mode == "token-mean",
        args.actor.policy_loss_type, advantage.is_correction_level, advantage.is_correction_mode,
        advantage.is_correction_gating, advantage.is_correction_threshold,
    )  # fmt: skip
    return made


def batch(args):
    """All rows as one micro-batch, with old log-probabilities on both sides of the clip bounds."""
    rows = [item for one in experiences(args) for item in remove_padding_in_sequences(split_experience_batch(one))]
    together = make_experience_batch(rows)
    with torch.no_grad():
        now = actor()(together.sequences, together.action_mask, together.attention_mask)
    noise = torch.randn(3, *now.shape, generator=torch.Generator().manual_seed(3)) * together.action_mask
    together.action_log_probs = now + 0.3 * noise[0]
    together.base_action_log_probs = now + 0.5 * noise[1]
    together.rollout_log_probs = together.action_log_probs + 0.3 * noise[2]
    return together


def gradient(made, args):
    """Gradient of all parameters after one training step."""
    together = batch(args)
    info = get_loss_batch_info(made.strategy, together.action_mask)
    made.training_step(together, 0.3, 0, info)
    return torch.cat([p.grad.flatten() for p in made.actor.parameters() if p.grad is not None]).double()


def with_weights_in_the_loss(args, monkeypatch):
    """OpenRLHF's own training step with the weight multiplied into what it sums up: policy term and KL term."""
    weights, total = batch(args).values, losses.aggregate_loss

    def weighted(loss, mask, **kwargs):
        return total(loss * weights, mask, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(losses, "aggregate_loss", weighted)
        patch.setattr(ppo_actor, "aggregate_loss", weighted)
        return gradient(trainer(args), args)
