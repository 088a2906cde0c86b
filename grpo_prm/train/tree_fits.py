"""Whether a model can be trained tree-packed: both layouts are compared on a batch (definitions: tree-packed)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .full_precision import in_float32
from .packing import Layout, Rows, padded_layout, reading, token_logprobs, tree_layout

TRIAL = 64  # tokens of a prompt, a trunk and an end, in the batch on which the two layouts are compared
EXACT = 1e-3  # nats by which log-probabilities in float32 may differ; 3e-5 were measured on 30 layers
LayOut = Callable[[Rows, Rows, int, torch.device], Layout]


def fits_tree(model: Any) -> str | None:
    """Why a model cannot be trained tree-packed; None if a batch has equal log-probabilities in both layouts.

    The batch is large enough for the kernels that training uses, where the context allows it, and goes backward too.
    Whether the tree says the same as the rows is seen in float32, in which the model then computes for a moment. Where
    training computes in less, tree and rows differ by rounding on top; that may be no more than the model's own: the
    distance of the rows as they are computed from the rows in float32.
    """
    config = model.config.get_text_config()
    kinds = getattr(config, "layer_types", None) or ["full_attention"]
    if getattr(config, "sliding_window", None) or any(kind != "full_attention" for kind in kinds):
        return "not all of its layers attend to everything before"  # which a short batch would not show
    prompts, rows = trial(model)
    device = next(model.parameters()).device
    try:
        laid_out = [lay_out(prompts, rows, 2, device) for lay_out in (padded_layout, tree_layout)]
        padded, tree = (_trained(model, layout) for layout in laid_out)
        if _computes_in_float32(model):
            return _differ(padded, tree)
        with in_float32(model):
            exact, exact_tree = (token_logprobs(model, layout)[layout.unit] for layout in laid_out)
    except Exception as error:  # of a model that cannot be told the tree: whatever it raises is the reason
        return f"{type(error).__name__}: {error}"
    return _differ(exact, exact_tree) or _noisier(tree - padded, padded - exact)


def trial(model: Any) -> tuple[list[list[int]], list[list[int]]]:
    """Two random prompts and two completions of each, which share a trunk or a token, in the model's words."""
    config = model.config.get_text_config()
    # room for a prompt, a shared trunk and an own end of `size` tokens each, and to spare
    size = min(TRIAL, (getattr(config, "max_position_embeddings", None) or 4 * TRIAL) // 4)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(config.vocab_size, size=n).tolist() for n in (size, 1)]
    trunk = rng.integers(config.vocab_size, size=size).tolist()
    rows = [[*trunk[:cut], *rng.integers(config.vocab_size, size=size).tolist()] for cut in (size, 1, 1, size)]
    return prompts, rows


def _trained(model: Any, layout: Layout) -> Tensor:
    """Log-probabilities of the completion tokens as training computes them, backward pass included."""
    weight = next(p for p in model.parameters() if p.requires_grad)  # one is enough to go through the backward kernels
    with reading(model, layout):
        logprobs = token_logprobs(model, layout)[layout.unit]
        torch.autograd.grad(logprobs.sum(), weight)
    return logprobs.detach()


def _computes_in_float32(model: Any) -> bool:
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    weights = all(parameter.dtype == torch.float32 for parameter in model.parameters())
    return weights and getattr(whole, "compute_dtype", torch.float32) == torch.float32


def _differ(one: Tensor, other: Tensor) -> str | None:
    gap = (one - other).abs().max().item()
    return None if gap <= EXACT else f"log-probabilities differ by {gap:.2g}"


def _noisier(gap: Tensor, noise: Tensor) -> str | None:
    """Whether two computations in less than float32 are further apart than each is from the truth.

    Two roundings of one size differ by √2 of it: twice in the mean is more than chance, and so is four times in the
    largest of some hundred tokens.
    """
    gap, noise = gap.abs(), noise.abs()
    if gap.mean() <= EXACT + 2 * noise.mean() and gap.max() <= EXACT + 4 * noise.max():
        return None
    return (
        f"log-probabilities differ by {gap.mean():.2g} in the mean and {gap.max():.2g} at most, where rounding alone"
        f" gives {noise.mean():.2g} and {noise.max():.2g}"
    )
