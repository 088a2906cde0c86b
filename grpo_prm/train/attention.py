"""Attention on prefix trees: the queries of each process step against the keys of its own path, with no N x N mask.

On a CPU a call for each step; elsewhere FlexAttention with the rule as a block mask. Registered with transformers under
`NAME`. The tree comes as keyword argument `tree` of the forward, so that gradient checkpointing, which runs the forward
again, finds it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.flex_attention import flex_attention_forward

NAME = "grpo_prm_tree"


class Span(NamedTuple):
    """A run of packed tokens that attend to the same tokens before them.

    Attributes:
        start: First packed token.
        end: The one behind the last.
        keys: Packed tokens of the path and of the span itself, int64; None where these are the span alone.
        mask: Which keys each token sees, shape (end - start, keys); None is causal.
    """

    start: int
    end: int
    keys: Tensor | None
    mask: Tensor | None


def path_mask(last: Tensor) -> BlockMask:
    """Who attends to whom, for FlexAttention: key j is on the path of query i exactly when j <= i < last(j).

    Args:
        last: The place behind all that lies below the step of each packed token, shape (tokens,), int64.
    """

    def on_path(_batch: Tensor, _head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (key <= query) & (query < last[key])

    make = torch.compile(create_block_mask) if last.is_cuda else create_block_mask  # else the mask is written out
    return make(on_path, None, None, len(last), len(last), device=last.device)


def tree_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - the spans say it
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    tree: list[Span] | BlockMask | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of one row of packed tokens; shapes as those of transformers' SDPA function.

    Raises:
        ValueError: The tree did not arrive: the model does not pass keyword arguments on.
    """
    if tree is None or query.shape[0] != 1:
        raise ValueError(f"{type(module).__name__} was not told the tree")
    if isinstance(tree, BlockMask):  # not on a CPU: one call, which skips blocks of keys that no query sees
        return flex_attention_forward(module, query, key, value, tree, scaling, dropout=dropout)[0], None
    grouped = query.shape[1] != key.shape[1]  # (1, heads, tokens, size): fewer heads of keys where queries share them
    # autograd cannot follow writes into one tensor without copying it at each, so with gradients the spans are joined
    out = torch.empty_like(query) if not torch.is_grad_enabled() else None
    outputs = []
    for span in tree:
        keys, values = (
            x[:, :, span.start : span.end] if span.keys is None else x.index_select(2, span.keys) for x in (key, value)
        )
        output = scaled_dot_product_attention(
            query[:, :, span.start : span.end],
            keys,
            values,
            attn_mask=span.mask,
            dropout_p=dropout,
            is_causal=span.mask is None,
            scale=scaling,
            enable_gqa=grouped,
        )
        if out is None:
            outputs.append(output)
        else:
            out[:, :, span.start : span.end] = output
    return (torch.cat(outputs, 2) if out is None else out).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, tree_attention)


@contextmanager
def attending(model: Any, name: str) -> Generator[None]:
    """Have a model attend by a registered function, and as before afterwards."""
    with switched(configs_of(model), name):
        yield


@contextmanager
def switched(configs: list[Any], name: str) -> Generator[None]:
    """The same by the model's configurations, since to find them takes milliseconds."""
    before = [(config, getattr(config, "_attn_implementation", None)) for config in configs]
    before = [(config, was) for config, was in before if was is not None]
    for config, _ in before:
        config._attn_implementation = name
    try:
        yield
    finally:
        for config, was in before:
            config._attn_implementation = was


def configs_of(model: Any) -> list[Any]:
    """The configurations of a model, each once: one of several parts (text, vision, adapter) has one in each."""
    return list({id(part.config): part.config for part in model.modules() if hasattr(part, "config")}.values())
