"""Slow definitions of rewards, advantages and step rewards, and of a group with the advantages that are analysed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from oracle_sets import Group, Members, in_loss
from scipy.stats import t as student_t

Log = Sequence[tuple[str, "int | None", str, Group]]
EPS = 1e-4
Z = 1.96


# ---------------------------------------------------------------- rewards and advantages


def finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def zero_variance(rewards: Sequence[float | None]) -> bool:
    r = finite(rewards)
    return len(r) < 2 or max(r) - min(r) <= 1e-6 * max(1.0, *(abs(x) for x in r))


def group_advantages(
    rewards: Sequence[float | None], std: str = "sample", batch: Sequence[float | None] = ()
) -> list[float]:
    """(r - mean) / (std + eps). `batch`: all rewards of the step, for std "batch".

    Reading: `none` divides by 1, no eps; `batch` is the sample standard deviation of the step's rewards.
    """
    if zero_variance(rewards):
        return [0.0] * len(rewards)
    r = finite(rewards)
    divisor = {
        "sample": lambda: float(np.std(r, ddof=1)) + EPS,
        "population": lambda: float(np.std(r)) + EPS,
        "batch": lambda: float(np.std(finite(batch), ddof=1)) + EPS,
        "none": lambda: 1.0,
    }[std]()
    centre = math.fsum(r) / len(r)
    return [(x - centre) / divisor if x is not None and math.isfinite(x) else 0.0 for x in rewards]


def tolerance(advantages: Sequence[float], logged: bool = False, rewards: Sequence[float] | None = None) -> float:
    """Only beyond this a value of the group counts as positive or negative.

    Reading: of logged advantages with rewards it is (k + 7) / 2 float32 roundings of max|r|, over the divisor that the
    largest advantage shows; it holds where it explains the mean of the group, else the rule without rewards does.
    """
    most = max((abs(a) for a in advantages), default=0.0)
    if not logged:
        return 1e-12 * most
    plain = 1e-6 * max(1.0, most)
    if rewards is None:
        return plain
    centre = math.fsum(rewards) / len(rewards)
    spread = max(abs(r - centre) for r in rewards)
    noise = (len(rewards) + 7) / 2 * 2.0**-23 * max(abs(r) for r in rewards)
    bound = most * noise / (spread - noise) if spread > 2 * noise else most
    return bound if abs(math.fsum(advantages) / len(advantages)) <= bound else plain


def step_mean(members: Members, values: Sequence[float]) -> float:
    """R(λ) of rewards, A(λ) of advantages: every member counts, masked or not."""
    return math.fsum(values[j] for j in members) / len(members)


def sign_sums(
    group: Group, members: Members, t: int, a: Sequence[float], w: Sequence[float] | None = None
) -> tuple[float, float]:
    """S⁺ and S⁻ of the tree token (members, t): over the members in the loss there; w = 1 without weights."""
    w = w or [1.0] * len(group)
    having = [j for j in members if in_loss(group[j], t)]
    return math.fsum(w[j] * max(a[j], 0.0) for j in having), math.fsum(w[j] * min(a[j], 0.0) for j in having)


def wilson(hits: int, n: int) -> tuple[float, float]:
    p, z2 = hits / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return centre - half, centre + half


def reward_interval(rewards: Sequence[float], members: Members, binary: tuple[float, float] | None = None):
    """The step-reward interval: Wilson mapped back to the two rewards, else R ± t std / √|λ| with the group's std."""
    n = len(members)
    if binary:
        low, high = binary
        a, b = wilson(sum(rewards[j] == high for j in members), n)
        return low + (high - low) * a, low + (high - low) * b
    half = float(student_t.ppf(0.975, len(rewards) - 1) * np.std(rewards, ddof=1)) / math.sqrt(n)
    centre = step_mean(members, rewards)
    return centre - half, centre + half


def certain(rewards: Sequence[float], members: Members, binary: tuple[float, float] | None = None) -> bool:
    """The interval leaves mean(r) outside. Reading: a step of a zero-variance group never does (R is mean(r))."""
    if zero_variance(rewards):
        return False
    low, high = reward_interval(rewards, members, binary)
    centre = math.fsum(rewards) / len(rewards)
    return centre < low or centre > high


def two_rewards(rewards: Iterable[float]) -> tuple[float, float] | None:
    """The two values of a log with exactly two distinct rewards, else None."""
    values = sorted(set(rewards))
    return (values[0], values[1]) if len(values) == 2 else None


# ---------------------------------------------------------------- one analysed group


class Analysed(NamedTuple):
    """A group of two or more with the advantages that the analysis uses.

    A value within the tolerance is set to exactly 0, in advantages and in step advantages, so that signs, |A| and 0/0
    need no further care (the root's A is 0, not 1e-17).
    """

    run: str
    step: int | None
    key: str
    rows: Group
    a: list[float]
    tol: float
    zero: bool
    centred: bool = True

    @property
    def rewards(self) -> list[float]:
        return [row.reward for row in self.rows]

    def step_advantage(self, members: Members) -> float:
        if self.centred and len(members) == len(self.rows):
            return 0.0
        value = step_mean(members, self.a)
        return value if abs(value) > self.tol else 0.0


def analysed(log: Log, std: str = "sample", advantage: str = "computed") -> list[Analysed]:
    """Groups of one are left out. Reading: of the batch standard deviation too."""
    groups = []
    for run, step, key, rows in log:
        if len(rows) < 2:
            continue
        rewards = [row.reward for row in rows]
        batch = [row.reward for r, s, _, other in log if (r, s) == (run, step) and len(other) > 1 for row in other]
        if advantage == "logged":
            a = [float(row.advantage) for row in rows]
            # The advantages of a zero-variance group are exactly 0, whatever was logged; without rewards they decide.
            zero = zero_variance(rewards) if len(finite(rewards)) == len(rows) else zero_variance(a)
            a = [0.0] * len(a) if zero else a
        else:
            a, zero = group_advantages(rewards, std, batch), zero_variance(rewards)
        known = len(finite(rewards)) == len(rows)
        tol = tolerance(a, advantage == "logged", rewards if known else None)
        centred = abs(math.fsum(a) / len(a)) <= tol
        groups.append(Analysed(run, step, key, rows, [x if abs(x) > tol else 0.0 for x in a], tol, zero, centred))
    return groups
