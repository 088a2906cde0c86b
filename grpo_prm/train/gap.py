"""Theorem 1 on the trainer's own gradients: those with outcome advantages beside those with step advantages (SPEC)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..forest import build_forest, expand
from ..loss import policy_loss
from ..prm import step_means
from . import ranks
from .config import TrainConfig
from .packing import token_logprobs
from .update import Batch, Tokens, batch_tokens, layouts, terms_of


def identity_gap(model: Any, batch: Batch, config: TrainConfig) -> float | None:
    """Norm of the difference of both gradients over the norm of the first; None where there is no gradient.

    Every completion is run on its own (padded), so the tokens of a process set are different outputs of the model, and
    the gap is what its numerics, dropout or anything else random per completion leave of the theorem. Two backward
    passes; the gradients of the model are used up and cleared.

    Args:
        model: The policy.
        batch: The rollouts, taken as on-policy: the ratio is 1.
        config: Aggregation and masks; λ weights and the KL term, the same on both sides, are left out.
    """
    tokens = batch_tokens(batch, config, kind="none")
    flat = np.array([token for row in batch.completions for token in row], np.int64)
    forest = build_forest(flat, batch.lengths, batch.groups)
    first = np.cumsum(batch.lengths) - batch.lengths
    some = batch.lengths > 0
    a, w = np.zeros(len(some)), np.zeros(len(some))
    a[some], w[some] = tokens.advantages.numpy()[first[some]], tokens.weights.numpy()[first[some]]
    mean = torch.from_numpy(np.nan_to_num(expand(forest, step_means(forest, a, w))))
    outcome, step = (_gradient(model, batch, config, tokens._replace(advantages=x)) for x in (tokens.advantages, mean))
    norm = outcome.norm().item()
    return (outcome - step).norm().item() / norm if norm > 0 else None


def _gradient(model: Any, batch: Batch, config: TrainConfig, tokens: Tokens) -> torch.Tensor:
    """The gradient of the loss without clipping, all trained parameters end to end, float64."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    everything = np.arange(len(batch.prompts))
    for layout, at in layouts(batch, everything, config.token_budget, "padded", trained[0].device):
        logprobs = token_logprobs(model, layout, config.temperature)
        policy_loss(logprobs, logprobs.detach(), terms_of(layout, tokens, at)).backward()
    ranks.add_up(trained)
    gradient = torch.cat([parameter.grad.double().flatten() for parameter in trained])
    model.zero_grad(set_to_none=True)
    return gradient
