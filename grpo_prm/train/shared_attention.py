"""Attention of rows to a prompt that they share and to what each has read itself.

The queries of all rows of a group, and of all heads that share a head of keys, meet the prompt in one matrix product;
each row meets its own tokens in another, and one softmax runs over both. SDPA needs a copy of the prompt for each row,
and on a CPU reads it again for each head of the queries.

Registered with transformers under `NAME`; the prompts come as keyword argument `shared` of the forward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import sdpa_mask

from .row_grid import Grid
from .shared_prompts import SharedPrompts

NAME = "grpo_prm_shared_prompts"
# what models tell their attention function beside its arguments and what makes no difference to it
HARMLESS = {"position_ids", "use_cache", "output_router_logits", "output_hidden_states"}


class UnsharedError(Exception):
    """A model's attention is not what is computed here."""


def shared_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    shared: SharedPrompts | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention of the newest token of each row; shapes as those of transformers' SDPA function.

    Computed in float32 at least, whatever the model computes in, and rounded where SDPA rounds.

    Raises:
        UnsharedError: The prompts did not arrive, or the layer does more than masked, scaled attention to what its
            cache holds, such as capped scores.
    """
    layer = None if shared is None else shared.layers[getattr(module, "layer_idx", 0)]
    more = dropout or any(other is not None for name, other in others.items() if name not in HARMLESS)
    if shared is None or layer is None or key is not layer.keys or value is not layer.values or more:
        raise UnsharedError(type(module).__name__)
    shared.attended += 1
    scaling = query.shape[3] ** -0.5 if scaling is None else scaling
    wide = torch.promote_types(query.dtype, torch.float32)
    with torch.autocast(query.device.type, enabled=False):  # which would round the scores
        scores = _scores(query.to(wide), key.to(wide), layer.prompt_keys.to(wide), attention_mask, scaling, shared.grid)
        scores -= scores.amax(3, keepdim=True)
        mass = scores.exp_()
        total = mass.sum(3, keepdim=True)
        # SDPA rounds what it multiplies values by: training attends by it, and equal rounding keeps both near
        mass = mass.to(value.dtype).to(wide)
        prompt = layer.prompt_keys.shape[2]
        out = _with_prompts(mass[..., :prompt], layer.prompt_values.to(wide), shared.grid)
        out = (out + mass[..., prompt:] @ value.to(wide)) / total
    return out.flatten(1, 2)[:, None].to(query.dtype), None


def _scores(query: Tensor, key: Tensor, prompt_key: Tensor, mask: Tensor | None, scaling: float, grid: Grid) -> Tensor:
    """Scores of all tokens, shape (rows, heads of keys, heads that share one, tokens of prompt and row)."""
    query = query.reshape(len(query), key.shape[1], -1, query.shape[3])  # heads that share one follow each other
    scores = torch.cat([_with_prompts(query, prompt_key.transpose(2, 3), grid), query @ key.transpose(2, 3)], 3)
    scores *= scaling
    if mask is not None:  # shape (rows, 1, 1, tokens): of the newest token, the same for all heads
        scores = scores.masked_fill_(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    return scores


def _with_prompts(rows: Tensor, prompts: Tensor, grid: Grid) -> Tensor:
    """Matrix product of each row, shape (rows, heads, a, b), with that of its group, shape (groups, heads, b, c)."""
    spread = grid.spread(rows).transpose(1, 2)  # (groups, heads, width, a, b)
    product = spread.flatten(2, 3) @ prompts
    return grid.gather(product.unflatten(2, spread.shape[2:4]).transpose(1, 2))


AttentionInterface.register(NAME, shared_attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
