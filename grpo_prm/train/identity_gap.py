"""The trainer's own gradients with outcome and with step advantages, compared (definitions: Theorem 1)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..core.forest import expand
from ..core.loss import policy_loss
from ..core.prm import step_means
from . import ranks
from .batch import Batch, Tokens, batch_advantages, batch_tokens
from .config import TrainConfig
from .packing import token_logprobs
from .update import clear_gradients, gradient_norm, layouts, temperature_of, terms_of

ENOUGH = 1024  # tokens that the model reads, prompts with each completion: an update may read a hundred times as many


def identity_gap(model: Any, batch: Batch, config: TrainConfig) -> float | None:
    """|g(a - A)| / |g(a)|, g the gradient of the loss, which is linear in the advantages; None where g(a) is 0.

    That is the norm of the difference of both gradients over the norm of the first. Every completion is run on its
    own (padded), so the tokens of a process set are different outputs of the model, and the gap is what its numerics,
    dropout or anything else random per completion leave of the theorem. It holds for each group alone, so it is
    measured on the first groups with an advantage until `ENOUGH` tokens are read, one group at least. Two backward
    passes; the gradients of the model are used up and cleared.

    Args:
        model: The policy.
        batch: The rollouts, taken as on-policy: the ratio is 1.
        config: Aggregation and masks; λ weights and the KL term, the same on both sides, are left out.
    """
    groups = _some(batch, config)
    tokens = batch_tokens(batch, config, kind="none")
    forest = batch.forest
    # a and w are those of a completion: read at its first token; empty ones have none
    first = np.cumsum(batch.lengths) - batch.lengths
    some = batch.lengths > 0
    a, w = np.zeros(len(some)), np.zeros(len(some))
    a[some], w[some] = tokens.advantages.numpy()[first[some]], tokens.weights.numpy()[first[some]]
    mean = torch.from_numpy(np.nan_to_num(expand(forest, step_means(forest, a, w))))
    outcome = _norm(model, batch, groups, config, tokens)
    # the gradient is linear in the advantages, so that of a - A is the difference of both
    apart = _norm(model, batch, groups, config, tokens._replace(advantages=tokens.advantages - mean))
    return apart / outcome if outcome > 0 and np.isfinite(apart) and np.isfinite(outcome) else None


def _some(batch: Batch, config: TrainConfig) -> NDArray[np.int64]:
    """The first groups with an advantage, as many as hold `ENOUGH` tokens."""
    groups = np.flatnonzero(np.abs(batch_advantages(batch, config)).reshape(-1, batch.k).sum(axis=1))
    opens = np.array([len(prompt) for prompt in batch.prompts], np.int64)
    read = (batch.k * opens + batch.lengths.reshape(-1, batch.k).sum(axis=1))[groups]
    return groups[: max(1, int((np.cumsum(read) <= ENOUGH).sum()))]


def _norm(model: Any, batch: Batch, groups: NDArray[np.int64], config: TrainConfig, tokens: Tokens) -> float:
    """Norm of the gradient of the loss of some groups, without clipping."""
    clear_gradients(model)
    device = next(model.parameters()).device
    # ratio 1 (logprobs against themselves, detached): no token is clipped
    for layout, at in layouts(batch, groups, config.token_budget, "padded", device):
        logprobs = token_logprobs(model, layout, temperature_of(config))
        policy_loss(logprobs, logprobs.detach(), terms_of(layout, tokens, at)).backward()
    ranks.add_up(model.parameters())
    norm = gradient_norm(model)
    model.zero_grad(set_to_none=True)
    return norm
