"""As much of slime 624b824a8 as λ-GRPO touches: how its loss module finds log-probabilities, and what it reduces."""

import sys
from types import ModuleType

import torch


def get_log_probs_and_entropy(logits, *, batch):
    """The log-probabilities of each sample's response tokens (here: all its positions), and their entropy."""
    rows = logits.squeeze(0).log_softmax(-1).split([len(tokens) for tokens in batch["tokens"]])
    found = [row.gather(1, tokens[:, None]).squeeze(1) for row, tokens in zip(rows, batch["tokens"], strict=True)]
    return None, {"log_probs": found, "entropy": [-(row.exp() * row).sum(-1) for row in rows]}


def policy_loss_function(args, batch, logits, sum_of_sample_mean):
    _, found = sys.modules["slime.backends.megatron_utils.loss"].get_log_probs_and_entropy(logits, batch=batch)
    new, old = torch.cat(found["log_probs"]), torch.cat(batch["log_probs"])
    ratio, advantages = (new - old).exp(), torch.cat(batch["advantages"])
    policy = -torch.minimum(ratio * advantages, ratio.clamp(0.8, 1.2) * advantages)
    gap = torch.cat(batch["ref_log_probs"]) - new
    kl, entropy = gap.exp() - gap - 1, torch.cat(found["entropy"])
    loss = (
        sum_of_sample_mean(policy)
        + args.kl_loss_coef * sum_of_sample_mean(kl)
        - args.entropy_coef * sum_of_sample_mean(entropy)
    )
    return loss, {"loss": loss.detach()}


def install(monkeypatch):
    """Put the loss module where imports find it, and return it."""
    loss = ModuleType("slime.backends.megatron_utils.loss")
    loss.get_log_probs_and_entropy, loss.policy_loss_function = get_log_probs_and_entropy, policy_loss_function
    parent = None
    for name in ("slime", "slime.backends", "slime.backends.megatron_utils"):
        package = ModuleType(name)
        monkeypatch.setitem(sys.modules, name, package)
        if parent:
            setattr(parent, name.rsplit(".", 1)[1], package)
        parent = package
    parent.loss = loss
    monkeypatch.setitem(sys.modules, loss.__name__, loss)
    return loss
