"""Are p-values of noise uniform? Logs in which no reward depends on a prefix, and what a null makes of them.

A null is a function `figures(logs) -> {statistic: (observed, null)}`, observed (logs,), null (logs, permutations), NaN
where a log does not have it. `one_by_one` makes one of a function of one log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from oracle_sets import Group, Row
from scipy.stats import kstest

LEVELS = (0.01, 0.05, 0.1, 0.5)
KINDS = ("distinct", "copies", "frequent")
Logs = Sequence[Sequence[Group]]
Figures = Mapping[str, tuple[np.ndarray, np.ndarray]]
DEPTH, CHOICES = 4, 2  # tokens of a text, and how many there are to choose from
CONCENTRATION = 0.3  # of the policy over texts: about half of the completions are copies


def noise(kind: str, logs: int, groups: int = 8, k: int = 8, seed: int = 0) -> list[list[Group]]:
    """Logs whose rewards say nothing about prefixes.

    `distinct`: every text once, rewards 0 or 1 by a coin; `copies`: texts sampled with replacement from a policy with
    preferences, the reward a coin for each text; `frequent`: the same, but texts that came more than once are right
    with .95, single ones with .15.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    return [[_group(kind, k, rng) for _ in range(groups)] for _ in range(logs)]


def _group(kind: str, k: int, rng: np.random.Generator) -> Group:
    if kind == "distinct":
        texts = rng.permutation(CHOICES**DEPTH)[:k]
    else:
        texts = rng.choice(CHOICES**DEPTH, k, p=rng.dirichlet(np.full(CHOICES**DEPTH, CONCENTRATION)))
    unique, copy, count = np.unique(texts, return_inverse=True, return_counts=True)
    chance = np.where(count > 1, 0.95, 0.15) if kind == "frequent" else np.full(len(unique), 0.5)
    rewards = (rng.random(len(unique)) < chance).astype(float)[copy]
    return [Row(_tokens(text), reward=float(r)) for text, r in zip(texts.tolist(), rewards, strict=True)]


def _tokens(text: int) -> list[int]:
    return [text // CHOICES**level % CHOICES for level in range(DEPTH)]


# ---------------------------------------------------------------- p-values


def one_by_one(figures_of: Callable[[Sequence[Group]], Mapping[str, tuple[float, np.ndarray]]]):
    """A function of many logs from one that takes one."""

    def figures(logs: Logs) -> Figures:
        every = [figures_of(log) for log in logs]
        return {
            name: (np.array([one[name][0] for one in every]), np.array([one[name][1] for one in every]))
            for name in every[0]
        }

    return figures


def p_values(observed: np.ndarray, null: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One-sided p as it is reported, and the same with ties broken at random, which is uniform for a right null.

    Logs without the statistic are left out, and so are the permutations without it (0/0): given that the observed order
    has it, it is one of those that have it, all equally likely.
    """
    has = np.isfinite(observed)
    observed, null = observed[has], null[has]
    near = np.abs(observed)[:, None] * 1e-9 + 1e-12
    above = (null > observed[:, None] + near).sum(axis=1)
    ties = (np.abs(null - observed[:, None]) <= near).sum(axis=1)
    number = 1 + np.isfinite(null).sum(axis=1)
    return (1 + above + ties) / number, (above + rng.random(len(above)) * (1 + ties)) / number


class Calibration(NamedTuple):
    """How a null does on noise.

    Attributes:
        logs: How many had the statistic.
        share: Share of p <= each of `LEVELS`.
        ks: p-value of Kolmogorov and Smirnov for uniformity, ties broken at random.
    """

    logs: int
    share: dict[float, float]
    ks: float

    @property
    def too_often(self) -> list[float]:
        """Levels that p reaches more often than by three standard errors too often."""
        return [a for a, s in self.share.items() if s > a + 3 * np.sqrt(a * (1 - a) / self.logs) + 1e-12]


def calibration(figures: Figures, seed: int = 0) -> dict[str, Calibration]:
    """The calibration of each statistic."""
    rng, found = np.random.default_rng(seed), {}
    for name, (observed, null) in figures.items():
        p, uniform = p_values(observed, null, rng)
        share = {level: float((p <= level + 1e-12).mean()) for level in LEVELS}
        found[name] = Calibration(len(p), share, float(kstest(uniform, "uniform").pvalue))
    return found


def faults(found: Mapping[str, Calibration], least_ks: float = 1e-3) -> list[str]:
    """What is wrong, a line each: an empty list is a calibrated null."""
    lines = []
    for name, one in found.items():
        lines += [f"{name}: P(p <= {level:g}) = {one.share[level]:.3f} in {one.logs} logs" for level in one.too_often]
        if one.ks < least_ks:
            lines.append(f"{name}: not uniform, p = {one.ks:.2g} in {one.logs} logs")
    return lines
