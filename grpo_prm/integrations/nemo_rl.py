"""λ-GRPO in NeMo-RL: weights enter as a field of the training batch, and the loss multiplies the gradient by them.

The driver gives `Policy.train` the whole step, so groups are whole there; NeMo-RL shards, packs and slices the field
like `advantages`. The loss is NeMo-RL's own: only the gradient at the log-probabilities is multiplied, for policy and
KL term alike. The class goes to the workers by value, so their environments need no grpo-prm.

Started by `python -m grpo_prm.integrations nemo-rl examples/run_grpo.py`, or `switch_on()` at the top of a script.
"""

from __future__ import annotations

import sys
from functools import wraps
from typing import Any

import numpy as np
import torch
from nemo_rl.algorithms import grpo
from nemo_rl.algorithms.loss import ClippedPGLossConfig, ClippedPGLossFn
from nemo_rl.models.policy.lm_policy import Policy
from ray import cloudpickle

from ..errors import UsageError
from .rows import Kind, check_weights, sequence_weights

FIELD = "lambda_weights"


class LambdaPGLossFn(ClippedPGLossFn):
    """NeMo-RL's clipped policy gradient loss, of which each token's whole term is multiplied by its λ weight."""

    def __call__(self, next_token_logprobs: torch.Tensor, data: Any, *args: Any, **kwargs: Any) -> Any:
        """The loss, whose value is not weighted, and its metrics.

        Raises:
            RuntimeError: The batch came without weights.
        """
        if FIELD not in data:
            raise RuntimeError(
                f"The batch has no {FIELD}, so λ-GRPO would be GRPO. They travel with Policy.train alone: "
                "set data_plane.enabled=false, and do not use the single controller."
            )
        weights = data[FIELD][:, 1:]
        # With top-k or top-p the KL term starts from a second tensor, of unfiltered log-probabilities.
        for logprobs in (next_token_logprobs, data.get("curr_logprobs_unfiltered")):
            if logprobs is not None and logprobs.requires_grad:
                logprobs.register_hook(lambda gradient: gradient * weights)
        return super().__call__(next_token_logprobs, data, *args, **kwargs)


def weighted_loss(cfg: ClippedPGLossConfig, **kwargs: Any) -> LambdaPGLossFn:
    """The weighted loss in the place of `ClippedPGLossFn(cfg, ...)`, which the driver makes.

    Raises:
        UsageError: A factor per token is not the paper's under a setting; it is named, with what to give instead.
    """
    if cfg.sequence_level_importance_ratios:
        raise UsageError(
            "loss_fn.sequence_level_importance_ratios makes one ratio for a whole completion, which has no token to "
            "weigh. Set it to false."
        )
    if cfg.use_kl_in_reward and cfg.reference_policy_kl_penalty:
        raise UsageError(
            "loss_fn.use_kl_in_reward takes the KL off the reward, so the advantages differ within a completion. "
            "Set it to false, or reference_policy_kl_penalty to 0."
        )
    if cfg.positive_example_nll_weight:
        raise UsageError(
            "loss_fn.positive_example_nll_weight adds a term that is no part of GRPO and would be weighted too. "
            "Set it to 0."
        )
    return LambdaPGLossFn(cfg, **kwargs)


def add_weights(data: Any, power: float, kind: Kind) -> None:
    """Put the weights of a whole step beside its advantages, shape (B, S), float32; 0 on padding.

    Args:
        data: NeMo-RL's batch: `input_ids` and `token_mask` of shape (B, S), padded on the right, and `input_lengths`.
        power: p of |λ|^-p.
        kind: `process-set` or `parent`.
    """
    ids, inside = data["input_ids"], torch.arange(data["input_ids"].shape[1]) < data["input_lengths"][:, None]
    # NeMo-RL's groups are the rows of one prompt (its estimators compare ids): all up to the first sampled token.
    opens = (data["token_mask"] > 0).int().argmax(1).tolist()
    groups = [tuple(row[:end].tolist()) for row, end in zip(ids, opens, strict=True)]
    rows = [row[own].numpy() for row, own in zip(ids, inside, strict=True)]
    weights = torch.zeros(ids.shape)
    weights[inside] = torch.from_numpy(np.concatenate(sequence_weights(rows, groups, power, kind)))
    data[FIELD] = weights


def switch_on(power: float = 1.0, kind: Kind = "process-set") -> None:
    """Let NeMo-RL's GRPO train with λ weights; call it before `nemo_rl.algorithms.grpo.setup`.

    A later call replaces an earlier one.

    Args:
        power: p, 0 or more; 0 is plain GRPO, with any settings.
        kind: `process-set` or `parent`.

    Raises:
        UsageError: There are no such weights.
    """
    check_weights(power, kind)
    train, estimator = (getattr(one, "plain", one) for one in (Policy.train, grpo._create_advantage_estimator))
    if not power:
        Policy.train, grpo._create_advantage_estimator, grpo.ClippedPGLossFn = train, estimator, ClippedPGLossFn
        return

    @wraps(train)
    def weighed(self: Policy, data: Any, loss_fn: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(loss_fn, LambdaPGLossFn):
            add_weights(data, power, kind)
        return train(self, data, loss_fn, *args, **kwargs)

    @wraps(estimator)
    def checked(master_config: Any) -> Any:
        if master_config.grpo.adv_estimator.name == "opd":
            raise UsageError(
                "grpo.adv_estimator.name opd values tokens one by one, by a teacher and without groups. Give grpo, "
                "gdpo or reinforce_plus_plus."
            )
        return estimator(master_config)

    weighed.plain, checked.plain = train, estimator  # ty: ignore[missing-attribute]
    Policy.train, grpo._create_advantage_estimator = weighed, checked
    grpo.ClippedPGLossFn = weighted_loss
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
