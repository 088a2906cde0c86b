"""What an export must hold, from the definitions: sets, loops and a search for the level of certainty."""

from __future__ import annotations

import math
from dataclasses import dataclass

from oracle import analysed, reward_interval, step_mean, two_rewards
from oracle_sets import in_loss, process_set
from scipy.stats import norm
from scipy.stats import t as student_t


@dataclass
class Step:
    """A step of one completion."""

    start: int
    end: int
    size: int
    k: int
    loss: int
    reward: float
    advantage: float
    low: float
    high: float
    certainty: float
    label: float | None = None


def certainty(rewards, members, two):
    """The level at which the interval of R just reaches mean(r), by bisection of its width."""
    mean, centre, n = math.fsum(rewards) / len(rewards), step_mean(members, rewards), len(members)
    if abs(mean - centre) < 1e-9 or max(rewards) - min(rewards) <= 1e-6 * max(1, *map(abs, rewards)):
        return 0.0
    narrow, wide = 0.0, 1e9
    for _ in range(200):
        z = (narrow + wide) / 2
        if two:
            low, high = two
            p, m, square = (centre - low) / (high - low), (mean - low) / (high - low), z * z
            middle = (p + square / (2 * n)) / (1 + square / n)
            half = z / (1 + square / n) * math.sqrt(p * (1 - p) / n + square / (4 * n * n))
            holds = middle - half <= m <= middle + half
        else:
            deviation = math.sqrt(math.fsum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))
            holds = abs(centre - mean) <= z * deviation / math.sqrt(n)
        narrow, wide = (narrow, z) if holds else (z, wide)
    tail = norm.sf(narrow) if two else student_t.sf(narrow, len(rewards) - 1)
    return float(1 - 2 * tail)


def expected(
    log, *, labels, threshold=None, min_members=2, min_certainty=None, exclude=False, std="sample", neutral=False
):
    """For every completion of a group of two or more: (group, sample) to its steps, label None where none is due."""
    groups = analysed(log, std)
    two = two_rewards(r for g in groups for r in g.rewards)
    numbers = [n for n, entry in enumerate(log) if len(entry[3]) > 1]
    found = {}
    for number, g in zip(numbers, groups, strict=True):
        if exclude and g.zero:
            continue
        for i, row in enumerate(g.rows):
            runs: list[tuple[frozenset, int, int]] = []
            for t in range(len(row.tokens)):
                members = process_set(g.rows, i, t)
                if runs and runs[-1][0] == members:
                    runs[-1] = (members, runs[-1][1], t + 1)
                else:
                    runs.append((members, t, t + 1))
            steps = []
            for members, start, end in runs:
                low, high = reward_interval(g.rewards, members, two)
                step = Step(
                    start, end, len(members), len(g.rows), sum(in_loss(row, t) for t in range(start, end)),
                    step_mean(members, g.rewards), g.step_advantage(members), low, high,
                    certainty(g.rewards, members, two),
                )  # fmt: skip
                certain = min_certainty is None or step.certainty >= min_certainty
                if step.loss and step.size >= min_members and certain:
                    step.label = {
                        "mean": lambda s: s.reward,
                        "threshold": lambda s: float(s.reward >= threshold - 1e-9),
                        "sign": lambda s: (
                            float(s.advantage > 0) if s.advantage else 0.5 if neutral and not g.zero else None  # noqa: B023
                        ),
                    }[labels](step)
                steps.append(step)
            found[number, i] = steps
    return found


def to_the_last(steps):
    """Steps up to the last labelled one."""
    last = max((n for n, step in enumerate(steps) if step.label is not None), default=-1)
    return steps[: last + 1]
