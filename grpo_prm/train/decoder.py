"""A causal language model that reads its prompts once and then one more token of each row at a time."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from .packing import computing

ROOM = 64  # tokens that a cache grows by: copied once in so many steps


class Decoder:
    """Rows that read on from their prompts.

    Prompts of unequal length are padded on the left; padding is masked out, and positions are the true ones.

    Attributes:
        logits: Of the token that comes next, shape (rows, vocabulary).
    """

    def __init__(self, model: PreTrainedModel, prompts: Sequence[Sequence[int]], limit: int) -> None:
        """Read the prompts, one row each.

        Args:
            model: Of transformers, with attention layers only.
            prompts: Token ids, at least one each.
            limit: How many tokens will be read after them, at most.
        """
        device = next(model.parameters()).device
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        width = int(lengths.max())
        # padding on the left, so that the next token of every row has the same place in the cache
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        places = torch.arange(width + limit, device=device) - (width - lengths)[:, None]  # true positions, < 0: padding
        self._model, self._names = model, _names(model)
        self._cache = growing_cache(model)
        self._mask, self._seen = places >= 0, 0
        self._next = lengths
        self.logits = self._forward(ids, places[:, :width].clamp(min=0))

    def read(self, tokens: Tensor) -> None:
        """Read one more token of each row, shape (rows,), int64."""
        self.logits = self._forward(tokens[:, None], self._next[:, None])  # (rows, 1): the cache holds what came before
        self._next = self._next + 1

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, int64, in this order; one may come several times."""
        self.logits, self._mask, self._next = (x[rows] for x in (self.logits, self._mask, self._next))
        self._cache.reorder_cache(cast("torch.LongTensor", rows))

    def _forward(self, ids: Tensor, positions: Tensor) -> Tensor:
        self._seen += ids.shape[1]
        # logits_to_keep: logits of the last place alone, else a long prompt times the vocabulary would be held
        known = {"cache": self._cache, "past_key_values": self._cache, "position_ids": positions, "logits_to_keep": 1}
        arguments: dict[str, Any] = {name: known[name] for name in self._names}
        mask = self._mask[:, : self._seen]
        with computing(self._model):
            return self._model(input_ids=ids, attention_mask=mask, use_cache=True, **arguments).logits[:, -1]


def _names(model: PreTrainedModel) -> list[str]:
    """Arguments that the forward of a model takes; the cache has had two names, models without positions take none."""
    inner = getattr(model, "get_base_model", lambda: model)()  # what peft wraps: it takes anything and passes it on
    there = inspect.signature(inner.forward).parameters
    cache = "cache" if "cache" in there else "past_key_values"
    return [cache] + [name for name in ("position_ids", "logits_to_keep") if name in there]


def growing_cache(model: PreTrainedModel) -> DynamicCache:
    """The cache that transformers makes for a model, with layers of full attention that write in place."""
    cache = DynamicCache(config=model.config)
    # layers of sliding windows or recurrent state keep the form that transformers gives them
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """Keys and values of a layer, shape (rows, heads, tokens, size), in tensors with room for more tokens.

    The layer of transformers concatenates, which copies the whole cache at every token.
    """

    _keys: Tensor
    _values: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add tokens and give all keys and values, as the layer of transformers does."""
        begin = self.get_seq_length()
        end = begin + key_states.shape[2]
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._keys, self._values = key_states[:, :, :0], value_states[:, :, :0]
        if end > self._keys.shape[2]:
            self._keys, self._values = _longer(self._keys, begin, end), _longer(self._values, begin, end)
        self._keys[:, :, begin:end], self._values[:, :, begin:end] = key_states, value_states
        return self._show(end)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, which may repeat."""
        length = self.get_seq_length()
        self._keys, self._values = (x.index_select(0, beam_idx) for x in (self._keys, self._values))
        self._show(length)

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]
        return self.keys, self.values


def _longer(old: Tensor, filled: int, needed: int) -> Tensor:
    """The filled places copied to a tensor with room for `needed` places and `ROOM` more."""
    rows, heads, _, size = old.shape
    new = old.new_empty(rows, heads, needed + ROOM, size)  # what is not yet filled is never shown
    new[:, :, :filled] = old[:, :, :filled]
    return new
