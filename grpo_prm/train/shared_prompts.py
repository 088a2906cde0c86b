"""The cache of rows that read on from prompts: keys and values of a prompt are held once for all rows of its group."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from .attention import configs_of
from .growing_cache import GrowingLayer
from .row_grid import Grid, grid_of

# Products of numbers, in one layer, that a query makes with its keys, and that all queries of a token make: with fewer,
# SDPA is as quick on a CPU, as measured.
EACH, ALL = 1024, 2e5
DEAD_SHARE = 8  # prompts without rows are dropped when they are one in so many: it copies the others


class OwnLayer(GrowingLayer):
    """What rows have read in one layer behind their prompts.

    Attributes:
        prompt_keys: Of the prompts, shape (groups, heads, tokens, size), padded on the left.
        prompt_values: The same of the values.
    """

    def __init__(self, prompt_keys: Tensor, prompt_values: Tensor) -> None:
        """Begin behind prompts."""
        super().__init__()
        self.prompt_keys, self.prompt_values = prompt_keys, prompt_values

    def get_seq_length(self) -> int:
        """Tokens of prompt and row, from which a model makes masks and positions."""
        return self.prompt_keys.shape[2] + self._filled


class SharedPrompts:
    """Prompts, and what their rows have read behind them.

    Attributes:
        cache: For the model, of `layers`.
        layers: One for each layer of the model.
        grid: Which prompt each row has.
        attended: How many layers have attended by `shared_attention`.
    """

    def __init__(self, prompts: DynamicCache, which: Tensor, k: int) -> None:
        """Begin with k rows of each group.

        Args:
            prompts: What a model has read, all its layers of full attention; it stays as it is.
            which: Prompt of each group, int64, shape (groups,).
            k: Rows of a group.
        """
        self.layers = [OwnLayer(*_of_groups(layer, which)) for layer in prompts.layers]
        self.cache = DynamicCache()
        self.cache.layers = [*self.layers]
        self.grid: Grid = grid_of(torch.arange(len(which), device=which.device).repeat_interleave(k), len(which))
        self.attended = 0

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, int64, rising. Their own tokens are copied, prompts are not."""
        for layer in self.layers:
            layer.reorder_cache(rows)
        group, groups = self.grid.group[rows], self.grid.groups
        alive = group.unique()
        if DEAD_SHARE * (groups - len(alive)) >= groups:
            for layer in self.layers:
                layer.prompt_keys, layer.prompt_values = layer.prompt_keys[alive], layer.prompt_values[alive]
            group, groups = torch.searchsorted(alive, group), len(alive)
        self.grid = grid_of(group, groups)


def can_share(model: PreTrainedModel, prompts: DynamicCache, rows: int, limit: int) -> bool:
    """Whether to share prompts: much to attend to, and full attention in all layers, by transformers' SDPA, on a CPU.

    Elsewhere SDPA is quick as it is. That the layers do nothing else is seen when they are called (`shared_attention`).

    Args:
        model: Of transformers.
        prompts: What it has read.
        rows: How many rows will read on.
        limit: How many tokens they will read at most.
    """
    if not all(type(layer) is GrowingLayer and layer.is_initialized for layer in prompts.layers):
        return False
    first: Any = prompts.layers[0]
    each = (first.keys.shape[2] + limit // 2) * first.keys.shape[3]
    heads = getattr(model.config.get_text_config(decoder=True), "num_attention_heads", 0)
    return (
        each >= EACH
        and each * rows * heads >= ALL
        and next(model.parameters()).device.type == "cpu"
        and getattr(model, "_supports_attention_backend", False)
        and _passes_on(model)
        and all(getattr(config, "_attn_implementation", "sdpa") == "sdpa" for config in configs_of(model))
    )


def _passes_on(model: Any) -> bool:
    """Whether the forward takes further arguments, as peft's does whatever it wraps, and can pass them on."""
    inner = getattr(model, "get_base_model", lambda: model)()
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(inner.forward).parameters.values())


def _of_groups(layer: Any, which: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of the prompt of each group, copied only where groups have one prompt."""
    if torch.equal(which, torch.arange(len(layer.keys), device=which.device)):
        return layer.keys, layer.values
    return layer.keys[which], layer.values[which]
