"""The paper's synthetic tree with a softmax at every node, for many runs at once (definitions: Results of the paper).

A leaf of the binary tree is a completion of `depth` tokens. Completions on one leaf are identical, so a group is how
often it holds each leaf, and everything that GRPO and its λ weights do follows from these counts.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.forest import Floats
from ..core.prm import EPS
from .methods import Kind


class Tree(NamedTuple):
    """Rewards of the leaves, left to right, and which of them is the target; there are 2^depth."""

    rewards: Floats
    target: int

    @property
    def depth(self) -> int:
        """Decisions from the root to a leaf."""
        return len(self.rewards).bit_length() - 1


def paper_tree(shared: int, bad: float, *, depth: int = 4, others: float = 0.7, target: int = 6) -> Tree:
    """Target 1; `bad` for the leaves that share at least their first `shared` decisions with it; `others` elsewhere."""
    leaves = np.arange(1 << depth)
    near = (leaves >> (depth - shared)) == (target >> (depth - shared))
    return Tree(np.where(leaves == target, 1.0, np.where(near, bad, others)), target)


def levels(values: NDArray) -> list[NDArray]:
    """Sums of leaf values below every node, the level of the root first, shape (..., 2^level) each."""
    sums = [values]  # from the leaves up
    while sums[-1].shape[-1] > 1:
        sums.append(sums[-1].reshape(*values.shape[:-1], -1, 2).sum(-1))
    return sums[::-1]


def leaf_probabilities(logits: list[Floats]) -> Floats:
    """Probability of each leaf, shape (..., leaves).

    Args:
        logits: Of the right child at every node against the left one, level by level, shape (..., 2^level).
    """
    probability = np.ones((*logits[0].shape[:-1], 1))
    for level in logits:
        right = 1 / (1 + np.exp(-level))
        children = np.stack([probability * (1 - right), probability * right], axis=-1)
        probability = children.reshape(*probability.shape[:-1], -1)
    return probability


def leaf_advantages(counts: NDArray, rewards: Floats) -> Floats:
    """Advantage a of a completion on each leaf, shape (..., leaves), in groups that hold so many; 0 in flat ones."""
    k = counts.sum(-1, keepdims=True)
    # Completions on one leaf are one row that counts so often: sums over a group are sums over leaves.
    centred = rewards - (counts * rewards).sum(-1, keepdims=True) / k
    variance = (counts * centred**2).sum(-1, keepdims=True) / (k - 1)
    present = np.where(counts > 0, rewards, np.nan)
    # A zero-variance group (definitions: zero-variance): rewards are at most 1 here, so the bound is not scaled.
    flat = np.nanmax(present, -1, keepdims=True) - np.nanmin(present, -1, keepdims=True) <= 1e-6
    return np.where(flat, 0.0, centred / (np.sqrt(variance) + EPS))


def ascent(counts: NDArray, rewards: Floats, logits: list[Floats], power: float, kind: Kind) -> list[Floats]:
    """Direction of ascent of the loss of groups, ratio 1, every token's weight 1 / (k depth) (dapo).

    Args:
        counts: Completions of each leaf, shape (..., leaves).
        rewards: Of the leaves.
        logits: As for `leaf_probabilities`.
        power: p.
        kind: What is counted, as in `core.weights.token_factors`.

    Returns:
        The gradient with respect to the logits, in their shapes.
    """
    number, pull = levels(counts), levels(counts * leaf_advantages(counts, rewards))
    k = number[0]
    gradient = []
    for level, at in enumerate(logits):
        # Completions that reached a node, shape (..., 2^level), and those below each child, shape (..., 2^(level + 1)).
        reached, members, pulls = number[level], number[level + 1], pull[level + 1]
        if kind == "parent":
            factor = np.repeat(np.maximum(reached, 1.0), 2, axis=-1) ** -power
        else:
            factor = np.maximum(members, 1.0) ** -power
        if kind == "position":  # the mean over the completions: the profile over depth without the branch
            factor = (members * factor).sum(-1, keepdims=True) / k
        weighed = (factor * pulls).reshape(*pulls.shape[:-1], -1, 2) / (k[..., None] * len(logits))
        right = 1 / (1 + np.exp(-at))
        # d log softmax: 1 - π of what was taken, - π of what was not.
        gradient.append((1 - right) * weighed[..., 1] - right * weighed[..., 0])
    return gradient


def target_gradient(tree: Tree, logits: list[Floats]) -> list[Floats]:
    """Gradient of log π(target) with respect to the logits: 0 but on the way to it."""
    gradient = []
    for level, at in enumerate(logits):
        node, child = tree.target >> (tree.depth - level), (tree.target >> (tree.depth - level - 1)) & 1
        slope = np.zeros_like(at)
        slope[..., node] = child - 1 / (1 + np.exp(-at[..., node]))
        gradient.append(slope)
    return gradient
