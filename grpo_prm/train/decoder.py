"""A causal language model that reads its prompts once and then one more token of each row at a time."""

from __future__ import annotations

import inspect
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from .attention import configs_of, switched
from .growing_cache import growing_cache
from .packing import computing
from .shared_attention import NAME, UnsharedError
from .shared_prompts import SharedPrompts, can_share


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
        self._shared: SharedPrompts | None = None
        self._proven = False  # that it attends to shared prompts is seen at the first token
        self._mask, self._seen = places >= 0, width
        self._next = lengths
        with _whole_input(model.get_output_embeddings()):
            self.logits = self._forward(self._cache, ids, places[:, :width].clamp(min=0))

    def branch(self, which: Tensor, k: int) -> None:
        """Go on with k rows of each of these prompts, int64, shape (groups,); one may come several times."""
        self._prompt = which.repeat_interleave(k)
        self.logits, self._mask, self._next = (x[self._prompt] for x in (self.logits, self._mask, self._next))
        if can_share(self._model, self._cache, len(self._prompt), self._mask.shape[1] - self._seen):
            self._shared, self._configs = SharedPrompts(self._cache, which, k), configs_of(self._model)
        else:
            self._reorder(self._prompt)

    def keep(self, rows: Tensor) -> None:
        """Go on with these rows, int64, rising; `logits` stay those of the rows that were read last."""
        self._mask, self._next, self._prompt = (x[rows] for x in (self._mask, self._next, self._prompt))
        if self._shared is not None:
            self._shared.keep(rows)
        else:
            self._reorder(rows)

    def read(self, tokens: Tensor) -> None:
        """Read one more token of each row, shape (rows,), int64."""
        self._seen += 1
        ids, positions = tokens[:, None], self._next[:, None]  # (rows, 1): the cache holds what came before
        if self._shared is None or not self._read_shared(self._shared, ids, positions):
            self.logits = self._forward(self._cache, ids, positions)
        self._next = self._next + 1

    def _read_shared(self, shared: SharedPrompts, ids: Tensor, positions: Tensor) -> bool:
        """Whether it could; if it attends in another way, seen at the first token, rows get prompts of their own."""
        try:
            with switched(self._configs, NAME):
                self.logits = self._forward(shared.cache, ids, positions, shared=shared)
        except UnsharedError:
            if self._proven:
                raise
        else:
            self._proven = self._proven or shared.attended == len(shared.layers)
        if self._proven:
            self._cache = shared.cache  # that of the prompts is needed no more
        else:
            self._shared = None
            self._reorder(self._prompt)
        return self._proven

    def _reorder(self, rows: Tensor) -> None:
        self._cache.reorder_cache(cast("torch.LongTensor", rows))

    def _forward(self, cache: DynamicCache, ids: Tensor, positions: Tensor, **more: Any) -> Tensor:
        # logits_to_keep: logits of the last place alone, else a long prompt times the vocabulary would be held
        known = {"cache": cache, "past_key_values": cache, "position_ids": positions, "logits_to_keep": 1}
        arguments: dict[str, Any] = {name: known[name] for name in self._names} | more
        mask = self._mask[:, : self._seen]
        with computing(self._model):
            return self._model(input_ids=ids, attention_mask=mask, use_cache=True, **arguments).logits[:, -1]


@contextmanager
def _whole_input(head: nn.Module | None) -> Generator[None]:
    """Have the head read a tensor of its own: of a slice, the last places, torch copies its weights for each row."""
    if head is None:
        yield
        return
    hook = head.register_forward_pre_hook(lambda _, inputs: tuple(x.contiguous() for x in inputs))
    try:
        yield
    finally:
        hook.remove()


def _names(model: PreTrainedModel) -> list[str]:
    """Arguments that the forward of a model takes; the cache has had two names, models without positions take none."""
    inner = getattr(model, "get_base_model", lambda: model)()  # what peft wraps: it takes anything and passes it on
    there = inspect.signature(inner.forward).parameters
    cache = "cache" if "cache" in there else "past_key_values"
    return [cache] + [name for name in ("position_ids", "logits_to_keep") if name in there]
