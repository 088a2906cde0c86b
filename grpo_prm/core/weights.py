"""λ-GRPO weights of a padded batch in torch: how many completions share each token, and the factor of its loss term.

The same sizes as `grpo_prm.core.forest` gives, on the device where the batch lies (definitions: process set; λ-GRPO).
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .forest import build_forest, expand

Kind = Literal["process-set", "parent", "position", "none"]
BLOCK = 1 << 24  # tokens compared at a time, which bounds the temporary memory


def process_set_sizes(ids: Tensor, attended: Tensor, group_size: int) -> Tensor:
    """|λ(i,t)| of every token of a padded batch (definitions: Group, prefix, process set).

    Args:
        ids: Completion token ids, shape (groups * k, T), the k completions of a group next to each other.
        attended: True where a token is real, shape (groups * k, T); real tokens come first. Tool outputs count: they
            part completions too, whatever the loss mask says.
        group_size: k.

    Returns:
        Sizes from 1 to k, int64, shape (groups * k, T); 0 on padding.
    """
    attended = attended.bool()
    if not ids.numel():
        return torch.zeros_like(ids, dtype=torch.int64)
    if ids.device.type == "cpu":
        return _by_forest(ids, attended, group_size)
    return _by_pairs(ids, attended, group_size)


def _by_forest(ids: Tensor, attended: Tensor, group_size: int) -> Tensor:
    """In time proportional to the shared tokens; for a processor, whose steps cost little."""
    lengths = attended.sum(1).numpy()
    forest = build_forest(ids[attended].numpy(), lengths, np.arange(len(lengths)) // group_size)
    sizes = torch.zeros_like(ids, dtype=torch.int64)
    sizes[attended] = torch.from_numpy(expand(forest, forest.size)).long()
    return sizes


def _by_pairs(ids: Tensor, attended: Tensor, group_size: int) -> Tensor:
    """Where each pair of completions parts; for an accelerator: few steps, none of which waits for the data.

    Reached by `lambda_weights` and `process_set_sizes` of a padded batch that lies on one, in a trainer of one's own;
    the trainer here expands the forest on the CPU instead.
    """
    rows = torch.where(attended, ids, -1).unflatten(0, (-1, group_size))  # (groups, k, T)
    length = ids.shape[1]
    parted = torch.zeros(*rows.shape[:2], length + 1, dtype=torch.int64, device=ids.device)
    step = max(1, BLOCK // max(1, group_size * length))
    for begin in range(0, len(rows), step):
        some = rows[begin : begin + step]
        # One completion after another against its whole group: (groups, k, T) at a time, never (groups, k, k, T).
        for other in some.unbind(1):
            differ = some != other[:, None]
            first = torch.where(differ.any(-1), differ.to(torch.uint8).argmax(-1), length)
            parted[begin : begin + step].scatter_add_(2, first[..., None], torch.ones_like(first)[..., None])
    # Parted by position t or before: what is left of the group shares the token at t.
    return (group_size - parted[..., :length].cumsum(-1)).flatten(0, 1) * attended


def token_factors(
    sizes: Tensor,
    group_size: int,
    power: float,
    kind: Kind = "process-set",
    weights: Tensor | None = None,
) -> Tensor:
    """Factor of each token's whole loss term, policy and KL part alike (definitions: λ-GRPO; parent weights; controls).

    Args:
        sizes: `process_set_sizes`, shape (groups * k, T).
        group_size: k.
        power: p >= 0; 0 is GRPO.
        kind: `process-set` is |λ(i,t)|^-p. `parent` is |λ(i,t-1)|^-p, k^-p at t = 0: how many reached the decision.
            `position` is the placebo: the weighted mean of |λ|^-p over the completions of the group that have a token
            at this position. `none` is 1.
        weights: w_i m_it for `position`, shape (groups * k, T), 0 where a token is out of the loss.

    Returns:
        Factors in [0, 1], float32, shape (groups * k, T); 0 on padding.

    Raises:
        ValueError: `position` without weights, a negative power, or an unknown kind.
    """
    if power < 0:
        raise ValueError(f"power is {power}, but a process set must not count for more than its members")
    real = sizes > 0
    if kind == "none":
        return real.float()
    if kind == "parent":
        above = torch.cat([torch.full_like(sizes[:, :1], group_size), sizes[:, :-1]], 1)
        return torch.where(real, above.clamp(min=1).float() ** -power, 0.0)
    shrunk = torch.where(real, sizes.clamp(min=1).float() ** -power, 0.0)
    if kind == "process-set":
        return shrunk
    if kind != "position":
        raise ValueError(f"unknown weights {kind!r}: one of process-set, parent, position, none")
    if weights is None:
        raise ValueError("the position placebo is a weighted mean: give weights")
    if not sizes.numel():
        return shrunk
    alive = weights.double().unflatten(0, (-1, group_size))
    total = alive.sum(1, keepdim=True)
    mean = (alive * shrunk.double().unflatten(0, (-1, group_size))).sum(1, keepdim=True) / total.clamp(min=1e-300)
    return (mean.expand_as(alive).flatten(0, 1) * real).float()


def lambda_weights(ids: Tensor, attended: Tensor, group_size: int, power: float = 1.0) -> Tensor:
    """|λ|^-p of every token, float32, shape (groups * k, T); 0 on padding. p = 0 is GRPO, p = 1 the paper's λ-GRPO."""
    return token_factors(process_set_sizes(ids, attended, group_size), group_size, power)
