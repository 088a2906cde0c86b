"""The model that is trained, its tokenizer, and its frozen reference (any causal language model of transformers)."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ..errors import InputError
from ..models.hub import ask
from ..models.names import location
from . import ranks
from .config import TrainConfig
from .packing import Layout, token_logprobs
from .update import Reference, temperature_of


class Policy(NamedTuple):
    """A policy ready to be trained.

    Attributes:
        model: The model, without dropout, on its device.
        tokenizer: Its tokenizer.
        ends: Ids that end a completion.
        reference: Log-probabilities of the frozen reference; None without a KL term.
        packs: It can be trained tree-packed.
    """

    model: Any
    tokenizer: Any
    ends: frozenset[int]
    reference: Reference | None
    packs: bool = True


def prepare(model: Any, tokenizer: Any, config: TrainConfig) -> Policy:
    """Make a model ready: device, no dropout, adapter, checkpointing, frozen reference.

    Dropout is random per completion, and unequal log-probabilities of one prefix break it (definitions: Theorem 1).
    """
    model = model.to(device_of(config))
    # of our own, read by `computing`: transformers' dtype would change the weights too
    model.compute_dtype = getattr(torch, config.dtype)
    frozen = copy.deepcopy(model) if config.beta and not config.lora else None
    if config.lora:
        from peft import get_peft_model

        model = get_peft_model(model, adapter_of(config))
    for one in (model, *([] if frozen is None else [frozen])):
        without_dropout(one)
    if config.gradient_checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
        if config.lora:
            model.enable_input_require_grads()  # else nothing before the first adapter asks for a gradient
    model.train()
    reference = _reference(model, frozen, temperature_of(config)) if config.beta else None
    return Policy(model, tokenizer, ends_of(model, tokenizer), reference)


def without_dropout(model: nn.Module) -> None:
    """Set every rate of dropout to 0."""
    # a module may be nn.Dropout, or hold a rate that its forward hands to functional.dropout
    for part in model.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in [name for name, value in vars(part).items() if "dropout" in name and isinstance(value, float)]:
            setattr(part, name, 0.0)


def load(config: TrainConfig, said: Callable[[str], None] = lambda _: None) -> tuple[Any, Any]:
    """Load model and tokenizer by a name of ours, from a folder or the hub; code of the repository is never run.

    Weights that are trained are float32, whatever is computed in: a step of 1e-6 is lost in the rounding of bfloat16.

    Args:
        config: The settings.
        said: Is told when a model is fetched first.

    Raises:
        UsageError: It cannot be fetched here, or the hub does not give it.
        InputError: It is no causal language model.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name = location(str(config.model), said)
    if not Path(name).exists():
        ask(name, "Give --model the folder of a model; smollm2 needs no hub.")
    # under an adapter the model's own weights are not trained, so bfloat16 halves them at no loss
    dtype = getattr(torch, config.dtype) if config.lora else torch.float32
    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype=dtype)
    except (OSError, ValueError) as error:
        kind = "folder" if Path(name).exists() else "folder or model on the hub"
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{name}: no {kind} with a causal language model ({reason}). Check --model.") from None
    return model, tokenizer


def device_of(config: TrainConfig) -> torch.device:
    """The device named, or a GPU where there is one; where several processes train, each has its own."""
    if ranks.count() > 1:
        return ranks.own_device()
    if config.device != "auto":
        return torch.device(config.device)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def ends_of(model: Any, tokenizer: Any) -> frozenset[int]:
    """End ids of tokenizer and generation configuration.

    Raises:
        InputError: There is none, so that every completion would run into the limit.
    """
    # chat models end with a token of their own beside the tokenizer's; a list where there are several
    given = getattr(model.generation_config, "eos_token_id", None)
    ends = [
        end for end in (tokenizer.eos_token_id, *(given if isinstance(given, list) else [given])) if end is not None
    ]
    if not ends:
        raise InputError("The tokenizer has no end token. Set eos_token in its configuration.")
    return frozenset(ends)


def adapter_of(config: TrainConfig) -> Any:
    """The LoRA adapter of the settings, on all linear layers, without dropout."""
    from peft import LoraConfig

    return LoraConfig(
        r=config.lora,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def _reference(model: Any, frozen: Any, temperature: float) -> Callable[[Layout], torch.Tensor]:
    """The policy with its adapter off, or a frozen copy from before training."""

    @torch.no_grad()
    def logprobs(layout: Layout) -> torch.Tensor:
        if frozen is not None:
            return token_logprobs(frozen, layout, temperature)
        with model.disable_adapter():
            return token_logprobs(model, layout, temperature)

    return logprobs
