"""Shared steps weigh |λ| times: what one step of GRPO does to the target of a tree on which every leaf is as likely."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import gammaln

from ..forest import Floats
from .tabular import Kind, Tree, ascent, target_gradient


class Change(NamedTuple):
    """Expected change of log π(target) in one step of rate 1, in all and by decision on the way, with its error.

    Attributes:
        total: Sum over the decisions.
        decisions: Of each decision, shape (depth,).
        error: Standard error of `total`; 0 where every group was counted.
    """

    total: float
    decisions: Floats
    error: float


def exact_change(tree: Tree, k: int, power: float, kind: Kind = "process-set") -> Change:
    """Over all groups of k, each with its multinomial probability."""
    leaves = len(tree.rewards)
    bars = np.array(list(combinations(range(k + leaves - 1), leaves - 1)))
    edges = np.column_stack([np.full(len(bars), -1), bars, np.full(len(bars), k + leaves - 1)])
    counts = np.diff(edges) - 1
    chance = np.exp(gammaln(k + 1) - gammaln(counts + 1).sum(1) - k * np.log(leaves))
    decisions = chance @ _changes(tree, counts, power, kind)
    return Change(float(decisions.sum()), decisions, 0.0)


def sampled_change(tree: Tree, k: int, power: float, kind: Kind = "process-set", *, groups: int, seed: int) -> Change:
    """Over so many groups drawn at random."""
    rng = np.random.default_rng(seed)
    changes = _changes(tree, rng.multinomial(k, np.full(len(tree.rewards), 1 / len(tree.rewards)), groups), power, kind)
    total = changes.sum(1)
    return Change(float(total.mean()), changes.mean(0), float(total.std(ddof=1) / np.sqrt(groups)))


def _changes(tree: Tree, counts: np.ndarray, power: float, kind: Kind) -> Floats:
    """First-order change of log π(target) through every decision, shape (groups, depth)."""
    logits = [np.zeros(1 << level) for level in range(tree.depth)]
    wanted = target_gradient(tree, logits)
    made = ascent(counts, tree.rewards, logits, power, kind)
    # A softmax has two logits, and a step moves both: their difference by twice as much.
    return np.stack([(2 * slope * step).sum(-1) for slope, step in zip(wanted, made, strict=True)], axis=1)
