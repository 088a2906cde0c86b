"""Theorem 1 on the trainer's own gradients: those with outcome advantages beside those with step advantages (SPEC)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ..forest import build_forest, expand
from ..loss import policy_loss
from ..prm import step_means
from .config import TrainConfig
from .packing import micro_batches, padded_layout, token_logprobs
from .update import Batch, Tokens, batch_tokens, terms_of


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
    """The gradient of the loss without clipping, all parameters end to end, float64."""
    model.zero_grad(set_to_none=True)
    device = next(model.parameters()).device
    opens = np.append(0, np.cumsum(batch.lengths.reshape(-1, batch.k).sum(axis=1)))
    for groups in micro_batches(batch.prompts, batch.completions, batch.k, config.token_budget, "padded"):
        rows = [batch.completions[i] for g in groups for i in range(g * batch.k, (g + 1) * batch.k)]
        layout = padded_layout([batch.prompts[g] for g in groups], rows, batch.k, device)
        at = torch.arange(opens[groups[0]], opens[groups[-1] + 1])
        logprobs = token_logprobs(model, layout, config.temperature)
        policy_loss(logprobs, logprobs.detach(), terms_of(layout, tokens, at)).backward()
    gradients = [p.grad.double().flatten() for p in model.parameters() if p.grad is not None]
    model.zero_grad(set_to_none=True)
    return torch.cat(gradients) if gradients else torch.zeros(1).double()
