"""The rollouts of one step, and what the loss says of each token (definitions: Every aggregation; Controls)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..core.forest import Forest
from ..core.groups import Groups
from ..core.prm import Std, completion_weights
from ..core.weights import Kind, token_factors
from .config import TrainConfig


@dataclass(frozen=True)
class Batch:
    """The rollouts of one step; rows are group-major.

    Attributes:
        prompts: Token ids of the prompt of each group.
        completions: Token ids of each completion, the end token included where it was sampled.
        k: Completions of each group.
        rewards: r, shape (completions,), float64; NaN where there is none.
        truncated: Stopped by the length limit, shape (completions,).
    """

    prompts: Sequence[list[int]]
    completions: Sequence[list[int]]
    k: int
    rewards: NDArray[np.float64]
    truncated: NDArray[np.bool_]

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each completion, shape (completions,)."""
        return np.array([len(row) for row in self.completions], np.int64)

    @cached_property
    def _groups(self) -> Groups:
        """The groups, whose trees are built once for weights, layouts and figures."""
        return Groups.of(self.completions, self.rewards, self.k)

    @property
    def groups(self) -> NDArray[np.int64]:
        """Dense group of each completion, shape (completions,)."""
        return self._groups.groups

    @property
    def forest(self) -> Forest:
        """The process steps of all groups."""
        return self._groups.forest

    def measured(self, std: Std = "sample") -> Groups:
        """The groups with the advantages of `prm.group_advantages`."""
        return self._groups if std == self._groups.std else replace(self._groups, std=std)


class Tokens(NamedTuple):
    """What the loss says of every completion token, completion after completion, shape (tokens,) each, on the CPU.

    Attributes:
        advantages: a_i of its completion, float64.
        weights: w_i m_it, float64, the normaliser of the whole batch included; 0 out of the loss.
        factor: f, float32.
    """

    advantages: Tensor
    weights: Tensor
    factor: Tensor


def batch_advantages(batch: Batch, config: TrainConfig) -> NDArray[np.float64]:
    """Group advantages, shape (completions,); 0 in zero-variance groups and where a reward is not finite."""
    return batch.measured(config.std).advantages


def loss_tokens(batch: Batch, config: TrainConfig) -> NDArray[np.int64]:
    """Tokens of each completion in the loss, shape (completions,): none of a truncated one that is masked."""
    return np.where(batch.truncated & config.mask_truncated, 0, batch.lengths)


def batch_tokens(batch: Batch, config: TrainConfig, *, kind: Kind | None = None) -> Tokens:
    """Advantage, weight and factor of every token.

    Args:
        batch: The rollouts.
        config: Aggregation, weights and controls.
        kind: Weights other than those of the config.
    """
    inside = loss_tokens(batch, config)
    # normalised over the whole batch, so that micro-batches and processes may be cut anywhere
    weights = completion_weights(config.aggregation, inside, config.max_new_tokens) * (inside > 0)
    of_token = np.repeat(weights, batch.lengths)
    matched = config.match_scale or config.match_norm  # controls: GRPO's own weights, in the size of λ-GRPO's
    kind = kind or ("none" if matched else config.weights)
    factor = token_factors(batch.forest, batch.groups, config.power, kind, of_token)
    if config.match_scale:
        top, bottom = batch.measured(config.std).scale_sums(config.power, weights)
        factor *= top / bottom if bottom > 0 else 1.0
    advantages = np.repeat(batch_advantages(batch, config), batch.lengths)
    return Tokens(*map(torch.from_numpy, (advantages, of_token, factor)))
