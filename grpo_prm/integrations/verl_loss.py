"""verl's own loss with the gradient at each token's log-probability multiplied by the token's λ weight.

The factor on the gradient is the factor on the token's whole loss term, policy and KL alike, whatever the loss mode and
the aggregation: both reach the model through that log-probability alone. Clipping, metrics and the loss that is logged
are verl's, since the values do not change. The entropy bonus is no part of the token's term and stays as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from tensordict import TensorDict
from verl.trainer.ppo.core_algos import agg_loss
from verl.utils.metric import Metric
from verl.workers.config import ActorConfig
from verl.workers.utils.losses import ppo_loss
from verl.workers.utils.padding import no_padding_2_padding

from .gradient import weigh_gradient

FIELD = "lambda_weights"  # in TransferQueue, beside the advantages; nested, one float32 a response token


def lambda_ppo_loss(
    config: ActorConfig, model_output: dict[str, Any], data: TensorDict, dp_group: Any = None
) -> tuple[torch.Tensor, dict[str, Any]]:
    """What `set_loss_fn` gets in the place of `verl.workers.utils.losses.ppo_loss`, with the same arguments.

    Args:
        config: The actor's.
        model_output: `log_probs`, nested or packed, one value for each token of prompts and responses; what else the
            engine gives is passed on.
        data: The micro-batch, `lambda_weights` among its fields.
        dp_group: The data-parallel group.

    Returns:
        verl's loss, whose value is not weighted, and its metrics with `actor/lambda_weight`, the mean weight of the
        loss tokens, by which a log shows that the workers used them.
    """
    log_probs = weighed(model_output["log_probs"], data)
    loss, metrics = ppo_loss(config, {**model_output, "log_probs": log_probs}, data, dp_group)
    fields = data.select(FIELD, "response_mask").to_padded_tensor()
    # Over the loss tokens of the whole mini-batch, added up over micro-batches and ranks as verl adds up the loss.
    mean = agg_loss(fields[FIELD], fields["response_mask"].bool(), "token-mean", **config.global_batch_info)
    aggregation = metrics["actor/pg_loss"].aggregation
    return loss, {**metrics, "actor/lambda_weight": Metric(value=mean, aggregation=aggregation)}


def weighed(log_probs: torch.Tensor, data: TensorDict) -> torch.Tensor:
    """The same log-probabilities; what flows back through them is multiplied by the weights of their tokens."""
    if not log_probs.requires_grad:
        return log_probs
    values = log_probs.values() if log_probs.is_nested else log_probs
    same = values.view_as(values)  # what else reads verl's tensor keeps its gradient
    weigh_gradient(same, packed_weights(values, data), lambda: None)
    if not log_probs.is_nested:
        return same
    return torch.nested.nested_tensor_from_jagged(same, log_probs.offsets())  # ty: ignore[missing-attribute]


def packed_weights(values: torch.Tensor, data: TensorDict) -> torch.Tensor:
    """The weights where the log-probabilities of their tokens stand, in the dtype and on the device of `values`.

    verl's own function picks the responses out of prompts and responses laid end to end, a token's log-probability one
    place before the token. Its derivative puts them back, so that the layout is told in one place: verl.

    Returns:
        Shape of `values`; 0 where no response token's log-probability stands, which the loss never reads.
    """
    with torch.enable_grad():
        probe = torch.zeros_like(values, requires_grad=True)
        picked = no_padding_2_padding(probe, data)
    padded = data.select(FIELD).to_padded_tensor()[FIELD].to(picked)
    return torch.autograd.grad(picked, probe, padded)[0]
