"""What a step of training will need: memory at its peak and seconds, from short trials on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..analysis.heap import hand_back
from . import ranks
from .config import TrainConfig
from .packing import Layout, block_of, computing, outputs_of, padded_layout, token_logprobs
from .policy import Policy
from .sample import sample

ROW, ROWS = 128, 2  # of the trial: tokens enough that weights are read once for many
SHORT, LONG = 2, 6  # new tokens of the two trials of the sampler
LOGIT = 20  # bytes for each logit: it, as float32, its exponential, its gradient in both


class Rates(NamedTuple):
    """What a trial has shown.

    Attributes:
        fixed: Bytes that a forward pass keeps for the backward pass, however few its tokens.
        kept: Bytes that it keeps for each token.
        update: Seconds of forward and backward pass for each token.
        prefill: Seconds in which the sampler reads the prompts of a step.
        position: Seconds in which it draws one more token of every row of a step.
    """

    fixed: float
    kept: float
    update: float
    prefill: float
    position: float


class Step(NamedTuple):
    """What a step reads and draws.

    Attributes:
        read: Tokens that the model reads in a pass over the batch, of this process.
        positions: New tokens of the longest completion.
    """

    read: int
    positions: int


def full_step(prompts: Sequence[Sequence[int]], policy: Policy, config: TrainConfig) -> Step:
    """The most that a step can have: every completion runs to its limit, and none shares a token.

    Args:
        prompts: Token ids of each prompt of a step.
        policy: Whether it is trained tree-packed.
        config: The settings.
    """
    mine = [len(prompts[group]) for group in ranks.share(len(prompts))]
    k, new = config.group_size, config.max_new_tokens
    padded = config.packing == "padded" or config.backend == "trl" or not policy.packs
    read = len(mine) * k * (max(mine, default=0) + new) if padded else sum(mine) + len(mine) * k * new
    return Step(read, new)


def measure(policy: Policy, prompts: Sequence[Sequence[int]], config: TrainConfig) -> Rates:
    """Run the model on a few tokens as training does, forward and backward, and sample some; gradients are cleared.

    Args:
        policy: The model, ready.
        prompts: Token ids of each prompt of a step.
        config: The settings.
    """
    model = policy.model
    few, many = (_rows(model, number) for number in (1, ROWS))
    # twice: in the first pass the kernels are chosen and compiled
    _seconds(lambda: _pass(model, few), model)
    update = _seconds(lambda: _pass(model, many), model)
    model.zero_grad(set_to_none=True)
    less, more = (_kept(model, layout) for layout in (few, many))
    tokens, added = many.ids.numel(), many.ids.numel() - few.ids.numel()
    kept = (more - less) / added
    short, long = (_seconds(lambda n=n: _draw(policy, prompts, config, n), model) for n in (SHORT, LONG))
    position = max(0.0, long - short) / (LONG - SHORT)
    hand_back()
    return Rates(max(0.0, more - kept * tokens), kept, update / tokens, max(0.0, short - SHORT * position), position)


def memory(policy: Policy, rates: Rates, step: Step, config: TrainConfig) -> dict[str, int]:
    """Bytes at the peak of a step, by what they are for; before training, when nothing of it is there yet."""
    model = policy.model
    device = next(model.parameters()).device
    shape = model.config.get_text_config()
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    at_once = min(step.read, max(config.token_budget, step.read // max(1, config.prompts * config.group_size)))
    kept = rates.fixed + rates.kept * at_once
    if config.gradient_checkpointing:
        # the input of each layer, and one layer at a time in full
        layers, size = shape.num_hidden_layers, getattr(torch, config.dtype).itemsize
        kept = kept / layers + at_once * shape.hidden_size * layers * size
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    place = 2 * shape.num_hidden_layers * heads * (shape.hidden_size // shape.num_attention_heads)
    place *= getattr(torch, config.dtype).itemsize
    rows = len(ranks.share(config.prompts)) * config.group_size
    logits = LOGIT * min(at_once * shape.vocab_size, block_of(device))
    uses = {
        "in use now": in_use(device),
        "gradients": trained,
        "optimizer": {"adam": 2, "adamw": 2, "sgd": 0}[config.optimizer] * trained,
    }
    update, sampling = int(kept) + logits, place * rows * step.positions
    if update >= sampling:  # one is over before the other begins
        return uses | {"activations": int(kept), "logits": logits}
    return uses | {"keys and values of the sampler": sampling}


def seconds(rates: Rates, step: Step, config: TrainConfig) -> tuple[float, float]:
    """Seconds of sampling and of the update of a step."""
    passes = config.updates_per_batch * (1 + config.match_norm) + (config.beta > 0) / 3
    return rates.prefill + rates.position * step.positions, rates.update * step.read * passes


def sentence(policy: Policy, prompts: Sequence[Sequence[int]], held_out: int, config: TrainConfig) -> str:
    """What the first lines of a run say: at most so much memory and time, where every completion runs to its limit.

    Args:
        policy: The model, ready.
        prompts: Token ids of each prompt of a step.
        held_out: Prompts to evaluate on.
        config: The settings.
    """
    rates, step = measure(policy, prompts, config), full_step(prompts, policy, config)
    told = f"up to {memory_in_words(memory(policy, rates, step, config))}, and up to "
    told += time_in_words(rates, step, len(prompts), held_out, config)
    return f"{told}, where every completion runs to {config.max_new_tokens:,} tokens"


def memory_in_words(uses: dict[str, int]) -> str:
    """`2.91 GB of memory (in use now 0.80, gradients 0.02, ...)`."""
    listed = ", ".join(f"{name} {value / 1e9:.2f}" for name, value in uses.items() if value >= 5e6)
    return f"{sum(uses.values()) / 1e9:.2f} GB of memory{f' ({listed})' if listed else ''}"


def time_in_words(rates: Rates, step: Step, prompts: int, held_out: int, config: TrainConfig) -> str:
    """`41 s a step (sampling 17, update 24), 1:42:30 for 150 steps and 2 evaluations of 64 prompts`.

    An evaluation samples each held-out prompt once, in batches like a step's.
    """
    sampling, update = seconds(rates, step, config)
    rows = max(1, len(ranks.share(prompts)) * config.group_size)
    each = rates.prefill / max(1, prompts) + rates.position / rows * config.max_new_tokens
    evaluations = 0
    if held_out:
        evaluations = 2 + ((config.steps - 1) // config.eval_every if config.eval_every else 0)
    whole = config.steps * (sampling + update) + evaluations * held_out * each
    told = f"{_short(sampling + update)} s a step (sampling {_short(sampling)}, update {_short(update)})"
    told += f", {timedelta(seconds=round(whole))} for {config.steps:,} step{'s' * (config.steps != 1)}"
    return told + (f" and {evaluations} evaluations of {held_out:,} prompts" if evaluations else "")


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 9.95 else f"{value:.2g}"


def in_use(device: torch.device) -> int:
    """Bytes that this process has on its device; on a CPU all that it has, 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:")), 0)


def _rows(model: Any, number: int) -> Layout:
    """Rows of random tokens, no longer than the context."""
    config = model.config.get_text_config()
    length = min(ROW, (getattr(config, "max_position_embeddings", None) or 2 * ROW) // 2)
    ids = np.random.default_rng(0).integers(config.vocab_size, size=(number, 1 + length)).tolist()
    device = next(model.parameters()).device
    return padded_layout([row[:1] for row in ids], [row[1:] for row in ids], 1, device)


def _pass(model: Any, layout: Layout) -> None:
    token_logprobs(model, layout, entropy=True)[0].sum().backward()


def _kept(model: Any, layout: Layout) -> int:
    """Bytes that the layers keep for the backward pass, weights apart: every piece of memory once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    seen: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in own:
            seen[memory.data_ptr()] = memory.nbytes()
        return tensor

    was = model.training
    model.eval()  # without checkpointing, which hides what it would keep; there is no dropout
    try:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), computing(model):
            outputs_of(model, layout)
    finally:
        model.train(was)
    return sum(seen.values())


def _draw(policy: Policy, prompts: Sequence[Sequence[int]], config: TrainConfig, new: int) -> None:
    mine = ranks.share(len(prompts))
    if len(mine):
        sample(
            policy.model,
            [prompts[group] for group in mine],
            config.group_size,
            seed=config.seed,
            step=0,
            names=mine,
            max_new_tokens=new,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
        )


def _seconds(work: Callable[[], object], model: Any) -> float:
    begin = time.perf_counter()
    work()
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - begin
