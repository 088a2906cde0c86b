"""A model computing in float32 for a moment, whatever its weights are, with one module's weights copied at a time."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def in_float32(model: Any) -> Generator[None]:
    """Have a model compute in float32 inside; forward passes alone, since the copies take no gradient.

    Weights that are less are copied to float32 while their own module runs, so that a model of any size needs no more
    memory than its largest module.

    Args:
        model: A model of transformers, perhaps with an adapter around it.
    """
    whole = model.get_base_model() if hasattr(model, "get_base_model") else model
    computed = getattr(whole, "compute_dtype", torch.float32)
    with ExitStack() as hooks, torch.no_grad():
        for module in model.modules():
            if any(_is_less(p) for p in module.parameters(recurse=False)):
                _raise_while_it_runs(module, hooks)
        whole.compute_dtype = torch.float32
        try:
            yield
        finally:
            whole.compute_dtype = computed


def _raise_while_it_runs(module: nn.Module, hooks: ExitStack) -> None:
    """Give a module's own weights as float32 to each of its forwards."""
    kept: dict[str, torch.Tensor] = {}

    def before(*_: Any) -> None:
        for name, parameter in module.named_parameters(recurse=False):
            if _is_less(parameter):
                kept[name], parameter.data = parameter.data, parameter.data.float()

    def after(*_: Any) -> None:
        for name, parameter in module.named_parameters(recurse=False):
            if name in kept:
                parameter.data = kept.pop(name)

    for handle in (
        module.register_forward_pre_hook(before),
        module.register_forward_hook(after, always_call=True),  # after an error, too
    ):
        hooks.callback(handle.remove)


def _is_less(parameter: torch.Tensor) -> bool:
    return parameter.is_floating_point() and parameter.dtype.itemsize < torch.float32.itemsize
