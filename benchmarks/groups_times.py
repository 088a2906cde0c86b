"""How long λ weights of one's own tensors take: `Groups.of(ids, rewards, k, mask).lambda_weights()`."""

from __future__ import annotations

import time

import numpy as np
import torch
from invented import branching
from numpy.random import default_rng
from reference_lists import lambda_weights as weights_of_lists
from tables import at_most, table

from grpo_prm.core.groups import Groups

SHAPE = (8, 8, 512)  # groups, k, tokens
TARGET = 2.0  # milliseconds on one core
NOTE = (
    "Padded ids in, padded weights out, everything between: lengths, trees, sizes. Beside it the recursion on Python "
    "lists (reference B), which is given its lists."
)


def groups_table(rounds: int) -> str:
    """Median and least time of each form of input, and of the reference, in turn.

    Args:
        rounds: How often each is timed.
    """
    groups, k, length = SHAPE
    tokens = branching(default_rng(0), groups, k, length)
    rows = tokens.reshape(groups * k, length).astype(np.int64)
    mask, rewards = np.ones(rows.shape, bool), np.arange(groups * k) % 2.0
    batch, inside = torch.from_numpy(rows), torch.from_numpy(mask)
    lists, nested = rows.tolist(), tokens.tolist()
    ways = {
        "torch": lambda: Groups.of(batch, rewards, k, inside).lambda_weights(),
        "numpy": lambda: Groups.of(rows, rewards, k, mask).lambda_weights(),
        "lists": lambda: Groups.of(lists, rewards, k).lambda_weights(),
        "B": lambda: [weights_of_lists(group) for group in nested],
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            begin = time.perf_counter()
            way()
            times[name].append(1e3 * (time.perf_counter() - begin))
    least = min(times["B"])
    cells = [
        [name, f"{np.median(t):.2f}", f"{min(t):.2f}", f"{least / min(t):.1f}", at_most(float(np.median(t)), TARGET)]
        for name, t in times.items()
        if name != "B"
    ]
    head = ["input", "median, ms", "least, ms", "B / least", f"target {TARGET:g} ms"]
    return table(f"Weights of one batch, {groups} x {k} x {length} tokens", NOTE, head, cells)
