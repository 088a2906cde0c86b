"""Invented batches of verl, and the slow, obviously right weights of their tokens."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Sampled:
    """One row of a batch as verl's agent loop leaves it."""

    key: str
    uid: str
    prompt: list[int]
    response: list[int]
    mask: list[int]
    reward: float
    padding: bool = False
    extra: dict = field(default_factory=dict)


def invented(seed: int, groups: int = 3, k: int = 4) -> list[Sampled]:
    """Shuffled rows: groups of k with long common beginnings, then the corner cases.

    One row's group has lost a member, one row has no loss token, one has tool output in its middle, one rollout has a
    second output with a prompt of its own, and one group has a single row.
    """
    draw = random.Random(seed)  # noqa: S311
    rows = []
    for group in range(groups):
        stem = [draw.randrange(2, 9) for _ in range(8)]
        prompt = [draw.randrange(2, 9) for _ in range(3 + group)]
        for session in range(k - (group == 1)):  # uneven
            response = stem[: draw.randrange(0, 8)] + [draw.randrange(2, 5) for _ in range(draw.randrange(1, 5))]
            mask = [1] * len(response)
            extra = {"reward_extra_info": {"acc": float(session % 2), "note": "text"}}
            reward = float(draw.random() < 0.5) + session / 8
            rows.append(Sampled(f"u-{group}_{session}_0", f"u-{group}", prompt, response, mask, reward, extra=extra))
    rows[0].mask = [0] * len(rows[0].response)
    rows[k].response, rows[k].mask = [5, 6, 7, 8, 2], [1, 0, 0, 1, 1]
    first = rows[-1]
    continued = [*first.prompt, *first.response, 9]
    more = [*first.response[:2], 3]
    rows.append(Sampled(first.key[:-1] + "1", first.uid, continued, more, [1] * len(more), first.reward))
    rows.append(Sampled("alone_0_0", "alone", [4, 4], [7, 7, 2], [1, 1, 1], 1.0))
    draw.shuffle(rows)
    return rows


def set_sizes(rows: list[Sampled]) -> list[list[int]]:
    """|λ(i,t)|: who of the same draw and prompt has the same first t + 1 tokens, counted one by one."""
    return [
        [
            sum(
                (other.uid, other.prompt, other.response[: t + 1]) == (row.uid, row.prompt, row.response[: t + 1])
                for other in rows
                if len(other.response) > t and not other.padding
            )
            for t in range(len(row.response))
        ]
        for row in rows
    ]


def members(rows: list[Sampled], of: Sampled) -> list[int]:
    """Numbers of the rows of one group."""
    return [n for n, row in enumerate(rows) if (row.uid, row.prompt) == (of.uid, of.prompt)]


def process_set_weights(rows: list[Sampled], power: float) -> list[list[float]]:
    return [[size**-power for size in sizes] for sizes in set_sizes(rows)]


def parent_weights(rows: list[Sampled], power: float) -> list[list[float]]:
    """By how many reached the decision: the set one token earlier, the whole group at the first."""
    sizes = set_sizes(rows)
    return [
        [(sizes[n][t - 1] if t else len(members(rows, row))) ** -power for t in range(len(row.response))]
        for n, row in enumerate(rows)
    ]


def position_weights(rows: list[Sampled], power: float, counts: Callable[[Sampled], list[float]]) -> list[list[float]]:
    """The mean of |λ|^-p over the group's loss tokens at the same position, each counted as the loss counts it."""
    shrunk = process_set_weights(rows, power)
    result = []
    for row in rows:
        here = []
        for t in range(len(row.response)):
            alive = [n for n in members(rows, row) if len(rows[n].response) > t]
            total = sum(counts(rows[n])[t] for n in alive)
            here.append(sum(counts(rows[n])[t] * shrunk[n][t] for n in alive) / total if total else 0.0)
        result.append(here)
    return result


def scale_factor(rows: list[Sampled], power: float, counts: Callable[[Sampled], list[float]], advantages) -> float:
    """Σ w |λ|^-p |a| / Σ w |a| over all loss tokens."""
    shrunk = process_set_weights(rows, power)
    top = bottom = 0.0
    for n, row in enumerate(rows):
        for t in range(len(row.response)):
            bottom += counts(row)[t] * abs(advantages[n])
            top += counts(row)[t] * abs(advantages[n]) * shrunk[n][t]
    return top / bottom if bottom else 1.0
