"""Training runs on the tabular tree: all methods, rates and seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..core.forest import Floats
from .methods import Method
from .tabular import Tree, ascent, leaf_advantages, leaf_probabilities, levels

BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


def train_trees(
    tree: Tree,
    methods: Sequence[Method],
    rates: Sequence[float],
    seeds: Sequence[int],
    *,
    optimizer: Literal["sgd", "adam"] = "sgd",
    k: int = 16,
    steps: int = 250,
    spread: float = 0.0,
) -> Floats:
    """How likely the target is before every step, shape (methods, rates, seeds, steps).

    Args:
        tree: Rewards and target.
        methods: What is compared.
        rates: Learning rates.
        seeds: Each has its own draws; methods and rates share them.
        optimizer: `sgd`, or `adam` as torch has it.
        k: Completions of a group; one group a step.
        steps: Optimizer steps.
        spread: Standard deviation of the log-odds of every decision at the start; 0: uniform policies.
    """
    shape = (len(methods), len(rates), len(seeds))
    # The stream of a seed is first its starts, then one row of k numbers a step, whatever the method and the rate.
    draws = [np.random.default_rng([seed, 16]) for seed in seeds]
    starts = [np.stack([rng.normal(0, spread, 1 << level) for rng in draws]) for level in range(tree.depth) if spread]
    logits = [np.zeros((*shape, 1 << level)) for level in range(tree.depth)]
    for at, start in zip(logits, starts, strict=False):
        at += start
    moments = [(np.zeros_like(at), np.zeros_like(at)) for at in logits]
    speed = np.asarray(rates)[:, None, None]
    likely = np.empty((*shape, steps))
    for step in range(steps):
        probability = leaf_probabilities(logits)
        likely[..., step] = probability[..., tree.target]
        # Common random numbers: every policy maps the same uniform numbers through its own probabilities.
        uniform = np.stack([rng.random(k) for rng in draws])
        counts = leaf_counts(probability, uniform)
        for number, method in enumerate(methods):
            own = [at[number] for at in logits]
            gradient = _matched(method, counts[number], tree.rewards, own)
            for level, slope in enumerate(gradient):
                change = 2 * slope  # a step moves both logits of a decision, and their difference by twice as much
                if optimizer == "adam":
                    change = 2 * _adam(slope, moments[level], number, step + 1)
                logits[level][number] += speed * change
    return likely


def leaf_counts(probability: Floats, uniform: Floats) -> np.ndarray:
    """Leaves that the uniform numbers, shape (seeds, k), fall on: how many on each, shape (..., seeds, leaves)."""
    ends = np.cumsum(probability, axis=-1)
    ends[..., -1] = 1.0  # rounding may leave it below a uniform number, which would fall on no leaf
    below = (uniform[:, None, :] < ends[..., None]).sum(-1)
    return np.diff(below, axis=-1, prepend=0)


def direction(method: Method, counts: np.ndarray, rewards: Floats, logits: list[Floats]) -> list[Floats]:
    """Direction of ascent of a method, as `tabular.ascent` has it; of the control `norm`, before it is rescaled."""
    gradient = ascent(counts, rewards, logits, 0.0 if method.control else method.power, method.kind)
    if method.control != "scale":
        return gradient
    factor = _scale(counts, rewards, method.power)[..., None]
    return [factor * slope for slope in gradient]


def _matched(method: Method, counts: np.ndarray, rewards: Floats, logits: list[Floats]) -> list[Floats]:
    """`direction`, and of the control `norm` as long as that of p over the logits."""
    gradient = direction(method, counts, rewards, logits)
    if method.control != "norm":
        return gradient
    wanted = _length(direction(method._replace(control=None), counts, rewards, logits))
    factor = np.divide(wanted, length := _length(gradient), out=np.ones_like(wanted), where=length > 0)[..., None]
    return [factor * slope for slope in gradient]


def _scale(counts: np.ndarray, rewards: Floats, power: float) -> Floats:
    """s_a(p) of every group: mean of |λ|^-p over tokens, weighted by |a|; 1 without (definitions: Controls)."""
    size, pull = levels(counts)[1:], levels(counts * np.abs(leaf_advantages(counts, rewards)))[1:]
    shrunk = sum((np.maximum(n, 1.0) ** -power * a).sum(-1) for n, a in zip(size, pull, strict=True))
    whole = sum(a.sum(-1) for a in pull)
    # A group without advantages has no gradient to make smaller: 0/0 is 1.
    return np.divide(shrunk, whole, out=np.ones_like(shrunk), where=whole > 0)


def _length(slopes: list[Floats]) -> Floats:
    return np.sqrt(sum((slope**2).sum(-1) for slope in slopes))


def _adam(slope: Floats, moments: tuple[Floats, Floats], number: int, step: int) -> Floats:
    """Step of rate 1 of one logit; its partner's is the negative."""
    # Adam keeps moments of both logits of a decision. Their gradients are opposite, so those of one serve for both.
    first, second = moments
    first[number] = BETAS[0] * first[number] + (1 - BETAS[0]) * slope
    second[number] = BETAS[1] * second[number] + (1 - BETAS[1]) * slope**2
    return (first[number] / (1 - BETAS[0] ** step)) / (np.sqrt(second[number] / (1 - BETAS[1] ** step)) + EPSILON)
