"""A rehearsal: the settings, an estimate of the memory, and the tree of one sampled group; nothing is trained."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import torch
from rich.console import Console

from ..tree_print import render
from ..tree_view import group_tree
from .config import TrainConfig, to_yaml
from .events import nobody
from .loop import roll_out
from .packing import BLOCK, cheaper
from .problem import as_read, open_problem
from .record import rollouts_table
from .update import batch_advantages

ACTIVATIONS = 16  # numbers that a layer keeps for the backward pass, for each token and unit of width
LOGITS = 16  # bytes for each logit: it, as float32, its exponential, its gradient


def rehearse(config: TrainConfig) -> str:
    """Load everything, sample the first step, and say what training would do; nothing is written."""
    if config.threads:
        torch.set_num_threads(config.threads)
    policy, problem = open_problem(config, nobody)
    made = roll_out(policy, problem, config, 0)
    advantages = batch_advantages(made.batch, config)
    table = rollouts_table("rehearsal", 0, made.prompts, made.sampled, made.texts, made.rewards, advantages, made.batch)
    spread = [np.ptp(values) for values in made.batch.rewards.reshape(-1, config.group_size)]
    group = int(np.nanargmax(spread))
    page = io.StringIO()
    rows = table.filter(table["group"] == group)
    render(group_tree(rows), Console(file=page, width=120, markup=False, highlight=False, emoji=False))
    layout = config.packing
    if layout == "auto":
        layout = cheaper(made.batch.prompts, made.batch.completions, config.group_size, policy.model)
    first = made.prompts[0]
    return (
        f"{to_yaml(config)}\n{memory(policy.model, config)}\n"
        f"first prompt as the model reads it, {len(first.ids)} tokens: {as_read(policy.tokenizer, first)!r}\n"
        f"layout of the first step, as --packing has it: {layout}\n"
        f"mean reward of the first step: {np.nanmean(made.batch.rewards):.3f}\n\n{page.getvalue()}"
    )


def memory(model: Any, config: TrainConfig) -> str:
    """An estimate: weights, gradients, optimizer, reference, and activations of one micro-batch."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    moments = {"adam": 2, "adamw": 2, "sgd": 0}[config.optimizer]
    reference = weights if config.beta and not config.lora else 0
    shape = model.config.get_text_config()
    size = next(model.parameters()).element_size()
    kept = 2 if config.gradient_checkpointing else ACTIVATIONS
    activations = config.token_budget * shape.hidden_size * shape.num_hidden_layers * kept * size
    logits = LOGITS * min(config.token_budget * shape.vocab_size, BLOCK)
    parts = {
        "weights": weights,
        "gradients": trained,
        "optimizer": moments * trained,
        "reference": reference,
        "activations of a micro-batch, at most": activations,
        "its logits": logits,
    }
    said = ", ".join(f"{name} {_bytes(value)}" for name, value in parts.items() if value)
    return f"memory, estimated: {_bytes(sum(parts.values()))} ({said})"


def _bytes(value: float) -> str:
    """`512 kB`, `1,024 MB`."""
    return f"{value / 1e6:,.0f} MB" if value >= 1e6 else f"{value / 1e3:,.0f} kB"
