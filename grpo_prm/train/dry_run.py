"""What `--dry-run` prints: the settings, an estimate of the memory, and the tree of one sampled group."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import polars as pl
import torch
from rich.console import Console

from ..tree.printed import render
from ..tree.view import group_tree
from .batch import batch_advantages
from .config import TrainConfig, to_yaml
from .events import Watch, nobody
from .loop import Rollouts, roll_out
from .packing import BLOCK, cheaper
from .policy import Policy
from .problem import as_read, open_problem
from .record import rollouts_table
from .threads import choose, using

ACTIVATIONS = 34  # numbers that a layer keeps for the backward pass, for each token and unit of width (Qwen2, measured)
LOGITS = 16  # bytes for each logit: it, as float32, its exponential, its gradient


def dry_run(config: TrainConfig, watch: Watch = nobody) -> str:
    """Load everything, sample the first step, and say what training would do; nothing is written."""
    threads = choose(config)
    with using(threads.number):
        return _rehearse(config, f"threads: {threads.number} ({threads.why})", watch)


def _rehearse(config: TrainConfig, threads: str, watch: Watch) -> str:
    policy, problem = open_problem(config, watch)
    made = roll_out(policy, problem, config, 0)
    rewards = made.batch.rewards
    first = made.prompts[0]
    known = rewards[np.isfinite(rewards)]
    mean = f"{known.mean():.3f}" if len(known) else "none: the reward failed for every completion"
    majority = problem.majority(made.prompts)
    constant = "" if majority is None else f"majority answer, share of its prompts right: {majority:.3f}\n"
    return (
        f"{to_yaml(config)}\n{memory(policy.model, config)}\n{threads}\n"
        f"first prompt as the model reads it, {len(first.ids)} tokens: {as_read(policy.tokenizer, first)!r}\n"
        f"layout of the first step, as --packing has it: {_layout(policy, made, config)}\n"
        f"mean reward of the first step: {mean}\n{constant}\n{_tree(made, config) if len(known) else ''}"
    )


def _layout(policy: Policy, made: Rollouts, config: TrainConfig) -> str:
    if config.backend == "trl" or not policy.packs:
        return "padded"
    if config.packing != "auto":
        return config.packing
    batch = made.batch
    return cheaper(batch.prompts, batch.completions, batch.k, policy.model, config.token_budget)


def _tree(made: Rollouts, config: TrainConfig) -> str:
    """The group of the first step whose rewards differ most, drawn as a tree."""
    advantages = batch_advantages(made.batch, config)
    table = rollouts_table("dry run", 0, made.prompts, made.sampled, made.texts, made.rewards, advantages, made.batch)
    spread = table.group_by("group").agg(pl.col("reward").max() - pl.col("reward").min()).sort("group")
    group = spread["group"][int(spread["reward"].arg_max() or 0)]
    page = io.StringIO()
    console = Console(file=page, width=120, markup=False, highlight=False, emoji=False)
    render(group_tree(table.filter(pl.col("group") == group)), console)
    return page.getvalue()


def memory(model: Any, config: TrainConfig) -> str:
    """An estimate: weights, gradients, optimizer, reference, the sampler's cache, activations of one micro-batch."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    moments = {"adam": 2, "adamw": 2, "sgd": 0}[config.optimizer]
    # under an adapter the reference is the model with its adapter off
    reference = weights if config.beta and not config.lora else 0
    shape = model.config.get_text_config()
    size = getattr(torch, config.dtype).itemsize
    # checkpointing keeps the input of each layer, and one layer at a time in full
    kept = 2 if config.gradient_checkpointing else ACTIVATIONS
    heads = getattr(shape, "num_key_value_heads", None) or shape.num_attention_heads
    row = 2 * shape.num_hidden_layers * heads * (shape.hidden_size // shape.num_attention_heads) * size
    units = config.token_budget * shape.hidden_size * shape.num_hidden_layers
    uses = {
        "weights": weights,
        "gradients": trained,
        "optimizer": moments * trained,
        "reference": reference,
        "cache of new tokens": row * config.prompts * config.group_size * config.max_new_tokens,
        "activations of a full micro-batch": units * kept * size,
        "its logits": LOGITS * min(config.token_budget * shape.vocab_size, BLOCK),
    }
    listed = ", ".join(f"{name} {_bytes(value)}" for name, value in uses.items() if value)
    return f"memory, estimated: {_bytes(sum(uses.values()))} ({listed})"


def _bytes(value: float) -> str:
    """`512 kB`, `1,024 MB`."""
    return f"{value / 1e6:,.0f} MB" if value >= 1e6 else f"{value / 1e3:,.0f} kB"
