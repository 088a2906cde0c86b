"""What `--dry-run` prints: the settings, estimates of memory and time, and the tree of one sampled group."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
from rich.console import Console

from ..text.amounts import number
from ..tree.printed import render
from ..tree.view import group_tree
from .batch import batch_advantages
from .config import TrainConfig, to_yaml
from .estimate import Step, full_step, measure, memory, memory_in_words, time_in_words
from .events import Watch, nobody
from .loop import Rollouts, roll_out
from .packing import cheaper
from .policy import Policy
from .problem import as_read, open_problem
from .record import rollouts_table
from .threads import choose, using


def dry_run(config: TrainConfig, watch: Watch = nobody) -> str:
    """Load everything, sample the first step, and say what training would do; nothing is written."""
    threads = choose(config)
    with using(threads.number):
        return _rehearse(config, f"threads: {threads.number} ({threads.why})", watch)


def _rehearse(config: TrainConfig, threads: str, watch: Watch) -> str:
    policy, problem = open_problem(config, watch)
    rates = measure(policy, [row.ids for row in problem.prompts(0)], config)
    made = roll_out(policy, problem, config, 0)
    layout = _layout(policy, made, config)
    step = Step(_read(made, layout), int(made.batch.lengths.max(initial=0)))
    full = full_step(made.batch.prompts, policy, config)
    at_most = memory_in_words(memory(policy, rates, full, config))
    time = time_in_words(rates, step, len(made.prompts), len(problem.held_out), config)
    rewards = made.batch.rewards
    first = made.prompts[0]
    known = rewards[np.isfinite(rewards)]
    mean = number(float(known.mean())) if len(known) else "none: the reward failed for every completion"
    majority = problem.majority(made.prompts)
    constant = "" if majority is None else f"majority answer, share of its prompts right: {number(majority)}\n"
    return (
        f"{to_yaml(config)}\n"
        f"estimated by trials, at most: {at_most}\nestimated from the first step: {time}\n{threads}\n"
        f"first prompt as the model reads it, {len(first.ids)} tokens: {as_read(policy.tokenizer, first)!r}\n"
        f"layout of the first step, as --packing has it: {layout}, {step.read:,} tokens\n"
        f"mean reward of the first step: {mean}\n{constant}\n{_tree(made, config) if len(known) else ''}"
    )


def _layout(policy: Policy, made: Rollouts, config: TrainConfig) -> str:
    if config.backend == "trl" or not policy.packs:
        return "padded"
    if config.packing != "auto":
        return config.packing
    batch = made.batch
    return cheaper(batch.prompts, batch.completions, batch.k, policy.model, config.token_budget)


def _read(made: Rollouts, layout: str) -> int:
    """Tokens that the model reads in a pass over the first step."""
    batch = made.batch
    opens = np.array([len(prompt) for prompt in batch.prompts])
    if layout == "tree":
        return int(batch.forest.length.sum() + opens.sum())
    return len(batch.lengths) * int((np.repeat(opens, batch.k) + batch.lengths).max(initial=0))


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
