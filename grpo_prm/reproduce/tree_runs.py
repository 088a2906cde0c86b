"""Training runs on the tabular tree: all methods, rates and seeds at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from ..core.forest import Floats
from .tabular import Kind, Tree, ascent, leaf_advantages, leaf_probabilities, levels

Control = Literal["scale", "norm"]
BETAS, EPSILON = (0.9, 0.999), 1e-8  # of Adam


class Method(NamedTuple):
    """A way of weighing tokens: `control` trains with p = 0 and is made as small as p would make it."""

    name: str
    power: float = 0.0
    kind: Kind = "process-set"
    control: Control | None = None


METHODS = (
    Method("p = 0"),
    Method("p = 0.5", 0.5),
    Method("p = 1", 1.0),
    Method("parent", 1.0, "parent"),
    Method("scale-matched", 1.0, control="scale"),
    Method("norm-matched", 1.0, control="norm"),
    Method("position", 1.0, "position"),
)


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
    draws = [np.random.default_rng([seed, 16]) for seed in seeds]
    starts = [np.stack([rng.normal(0, spread, 1 << level) for rng in draws]) for level in range(tree.depth) if spread]
    logits = [np.zeros((*shape, 1 << level)) for level in range(tree.depth)]
    for at, start in zip(logits, starts, strict=False):
        at += start
    moments = [(np.zeros_like(at), np.zeros_like(at)) for at in logits]
    speed = np.asarray(rates)[:, None, None]
    found = np.empty((*shape, steps))
    for step in range(steps):
        chance = leaf_probabilities(logits)
        found[..., step] = chance[..., tree.target]
        uniform = np.stack([rng.random(k) for rng in draws])
        counts = leaf_counts(chance, uniform)
        for number, method in enumerate(methods):
            mine = [at[number] for at in logits]
            made = _matched(method, counts[number], tree.rewards, mine)
            for level, slope in enumerate(made):
                change = 2 * slope  # a step moves both logits of a decision, and their difference by twice as much
                if optimizer == "adam":
                    change = 2 * _adam(slope, moments[level], number, step + 1)
                logits[level][number] += speed * change
    return found


def leaf_counts(chance: Floats, uniform: Floats) -> np.ndarray:
    """Leaves that the uniform numbers, shape (seeds, k), fall on: how many on each, shape (..., seeds, leaves)."""
    ends = np.cumsum(chance, axis=-1)
    ends[..., -1] = 1.0
    below = (uniform[:, None, :] < ends[..., None]).sum(-1)
    return np.diff(below, axis=-1, prepend=0)


def direction(method: Method, counts: np.ndarray, rewards: Floats, logits: list[Floats]) -> list[Floats]:
    """Direction of ascent of a method, as `tabular.ascent` has it; of the control `norm`, before it is rescaled."""
    made = ascent(counts, rewards, logits, 0.0 if method.control else method.power, method.kind)
    if method.control != "scale":
        return made
    factor = _scale(counts, rewards, method.power)[..., None]
    return [factor * slope for slope in made]


def _matched(method: Method, counts: np.ndarray, rewards: Floats, logits: list[Floats]) -> list[Floats]:
    """`direction`, and of the control `norm` as long as that of p over the logits."""
    made = direction(method, counts, rewards, logits)
    if method.control != "norm":
        return made
    wanted = _length(direction(method._replace(control=None), counts, rewards, logits))
    factor = np.divide(wanted, length := _length(made), out=np.ones_like(wanted), where=length > 0)[..., None]
    return [factor * slope for slope in made]


def _scale(counts: np.ndarray, rewards: Floats, power: float) -> Floats:
    """s_a(p) of every group: mean of |λ|^-p over its tokens, weighted by |a|; 1 without advantages (SPEC: Controls)."""
    size, pull = levels(counts)[1:], levels(counts * np.abs(leaf_advantages(counts, rewards)))[1:]
    shrunk = sum((np.maximum(n, 1.0) ** -power * a).sum(-1) for n, a in zip(size, pull, strict=True))
    whole = sum(a.sum(-1) for a in pull)
    return np.divide(shrunk, whole, out=np.ones_like(shrunk), where=whole > 0)


def _length(slopes: list[Floats]) -> Floats:
    return np.sqrt(sum((slope**2).sum(-1) for slope in slopes))


def _adam(slope: Floats, moments: tuple[Floats, Floats], number: int, step: int) -> Floats:
    """Step of rate 1 of one logit; its partner's is the negative."""
    first, second = moments
    first[number] = BETAS[0] * first[number] + (1 - BETAS[0]) * slope
    second[number] = BETAS[1] * second[number] + (1 - BETAS[1]) * slope**2
    return (first[number] / (1 - BETAS[0] ** step)) / (np.sqrt(second[number] / (1 - BETAS[1] ** step)) + EPSILON)
