"""A cache of keys and values that grows in place: the one of transformers copies all of itself at every token."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

ROOM = 64  # tokens that a cache grows by: copied once in so many steps


def growing_cache(model: PreTrainedModel) -> DynamicCache:
    """The cache that transformers makes for a model, with layers of full attention that write in place."""
    cache = DynamicCache(config=model.config)
    # layers of sliding windows or recurrent state keep the form that transformers gives them
    cache.layers = [GrowingLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


class GrowingLayer(DynamicLayer):
    """Keys and values of a layer, shape (rows, heads, tokens, size), in tensors with room for more tokens."""

    _keys: Tensor
    _values: Tensor
    _filled = 0

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add tokens and give all keys and values, as the layer of transformers does."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._keys, self._values = key_states[:, :, :0], value_states[:, :, :0]
        begin, end = self._filled, self._filled + key_states.shape[2]
        if end > self._keys.shape[2]:
            self._keys, self._values = _longer(self._keys, begin, end), _longer(self._values, begin, end)
        self._keys[:, :, begin:end], self._values[:, :, begin:end] = key_states, value_states
        return self._show(end)

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Keep these rows, which may repeat."""
        if self.is_initialized:
            self._keys, self._values = (x.index_select(0, beam_idx) for x in (self._keys, self._values))
            self._show(self._filled)

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        self._filled = length
        self.keys, self.values = self._keys[:, :, :length], self._values[:, :, :length]
        return self.keys, self.values


def _longer(old: Tensor, filled: int, needed: int) -> Tensor:
    """The filled places copied to a tensor with room for `needed` places and `ROOM` more."""
    rows, heads, _, size = old.shape
    new = old.new_empty(rows, heads, needed + ROOM, size)  # what is not yet filled is never shown
    new[:, :, :filled] = old[:, :, :filled]
    return new
