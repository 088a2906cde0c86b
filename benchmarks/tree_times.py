"""Runs on the paper's tree: all together beside one after the other, by the same algorithm."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from tables import at_least, table

from grpo_prm.reproduce.gpt_trees import LEFT, RIGHT, START, tiny_gpt2, train_gpt_trees
from grpo_prm.reproduce.methods import METHODS
from grpo_prm.reproduce.tabular import leaf_probabilities, paper_tree
from grpo_prm.reproduce.tree_runs import direction, leaf_counts, train_trees

TREE = paper_tree(1, -1.0)
K = 16


def trees_table(seeds: int, steps: int, alone: int) -> str:
    """Runs a second of 250 steps, for the softmax at every node and for the tiny GPT-2, on one thread."""
    before = torch.get_num_threads()  # given back below, as later benchmarks are timed in this process
    torch.set_num_threads(1)
    rows = [_softmax(seeds, steps, alone), _network(seeds, steps, alone)]
    torch.set_num_threads(before)
    note = (
        f"{len(METHODS)} methods x 2 rates x {seeds} seeds, {steps} steps of Adam, one thread. One by one: {alone} "
        "runs of the same algorithm, the GPT-2 by transformers and torch.optim, without completions written out."
    )
    head = ["policy", "together, runs/s", "one by one, runs/s", "ratio", "target"]
    return table("Runs on the synthetic tree", note, head, rows)


def _softmax(seeds: int, steps: int, alone: int) -> list[str]:
    settings: dict[str, Any] = {"optimizer": "adam", "steps": steps}
    begin = time.perf_counter()
    train_trees(TREE, METHODS, [0.05, 0.1], range(seeds), **settings)
    together = len(METHODS) * 2 * seeds / (time.perf_counter() - begin)
    begin = time.perf_counter()
    for seed in range(alone):
        train_trees(TREE, METHODS[:1], [0.1], [seed], **settings)
    return _row("softmax at every node", together, alone / (time.perf_counter() - begin))


def _network(seeds: int, steps: int, alone: int) -> list[str]:
    begin = time.perf_counter()
    train_gpt_trees(TREE, METHODS, [4e-4, 8e-4], range(seeds), optimizer="adam", steps=steps)
    together = len(METHODS) * 2 * seeds / (time.perf_counter() - begin)
    begin = time.perf_counter()
    for seed in range(alone):
        _one_network(seed, steps)
    return _row("tiny GPT-2", together, alone / (time.perf_counter() - begin))


def _row(name: str, together: float, alone: float) -> list[str]:
    return [name, f"{together:.1f}", f"{alone:.2f}", f"{together / alone:.1f}", at_least(together / alone, 1)]


def _one_network(seed: int, steps: int) -> None:
    """GRPO on one GPT-2: a forward pass over the eight prefixes of three decisions gives every choice."""
    model, rng = tiny_gpt2(seed), np.random.default_rng([seed, 16])
    update = torch.optim.Adam(model.parameters(), lr=4e-4)
    depth = TREE.depth
    # All paths of three decisions, shape (8, 4) with the start token: every prefix stands in one of them.
    paths = [[START, *(LEFT + (n >> (depth - 2 - t) & 1) for t in range(depth - 1))] for n in range(1 << (depth - 1))]
    tokens = torch.tensor(paths)
    for _ in range(steps):
        logits = model(tokens, use_cache=False).logits
        odds = logits[..., RIGHT] - logits[..., LEFT]
        # The n-th prefix of a level stands first in row n 2^(depth - 1 - level).
        levels = [odds[:: 1 << (depth - 1 - level), level] for level in range(depth)]
        at = [level.detach().double().numpy() for level in levels]
        counts = leaf_counts(leaf_probabilities([level[None, None, None] for level in at]), rng.random((1, K)))[0, 0, 0]
        slopes = direction(METHODS[0], counts, TREE.rewards, at)
        update.zero_grad()
        (-sum((level * torch.from_numpy(m).float()).sum() for level, m in zip(levels, slopes, strict=True))).backward()
        update.step()
