"""Process sets and overlap by the definition: compare every prefix with every other, count with sets and loops.

A group is a list of `Row`. Comments that open with "Reading:" mark what the definitions leave open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One completion."""

    tokens: Sequence[int]
    mask: Sequence[bool] | None = None
    reward: float | None = None
    advantage: float | None = None
    logprobs: list[float] | None = None
    trainer_logprobs: list[float] | None = None
    parts: dict[str, float | None] | None = None  # of the reward, by name


Group = Sequence[Row]
Members = frozenset[int]


class Step(NamedTuple):
    """A process step: the completions that share it and the positions it covers."""

    members: Members
    start: int
    end: int


def mean(values: Iterable[float]) -> float | None:
    values = list(values)
    return math.fsum(values) / len(values) if values else None


def ratio(above: float, below: float) -> float | None:
    return above / below if below else None


def present(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


# ---------------------------------------------------------------- trees


def process_set(group: Group, i: int, t: int) -> Members:
    """λ(i,t): who has the same first t + 1 tokens as completion i."""
    prefix = group[i].tokens[: t + 1]
    return frozenset(j for j, row in enumerate(group) if len(row.tokens) > t and row.tokens[: t + 1] == prefix)


def once(definition: Callable[[Group], T]) -> Callable[[Group], T]:
    """Work out what depends on tokens and masks alone once for a group: a dozen figures are made of it."""

    @lru_cache(maxsize=1024)
    def of_rows(rows: tuple[tuple[tuple[int, ...], tuple[bool, ...] | None], ...]) -> T:
        return definition([Row(*row) for row in rows])

    return lambda group: of_rows(
        tuple((tuple(row.tokens), None if row.mask is None else tuple(row.mask)) for row in group)
    )


@once
def process_sets(group: Group) -> list[Step]:
    """All process sets with their spans, the root (which may be empty) first."""
    everyone = frozenset(range(len(group)))
    positions: dict[Members, set[int]] = {everyone: set()}
    for i, row in enumerate(group):
        for t in range(len(row.tokens)):
            positions.setdefault(process_set(group, i, t), set()).add(t)
    steps = [Step(s, min(at, default=0), max(at, default=-1) + 1) for s, at in positions.items()]
    assert all(positions[s] == set(range(start, end)) for s, start, end in steps), "a set shrinks along the tokens"
    return sorted(steps, key=lambda step: (-len(step.members), step.start, sorted(step.members)))


def parent(steps: Sequence[Step], step: Step) -> Step | None:
    """The smallest set that holds this one and more; None for the root."""
    above = [other for other in steps if other.members > step.members]
    return min(above, key=lambda other: len(other.members), default=None)


def kind(members: Members, k: int) -> str:
    return "root" if len(members) == k else "terminal" if len(members) == 1 else "intermediate"


def in_loss(row: Row, t: int) -> bool:
    return t < len(row.tokens) and (row.mask is None or bool(row.mask[t]))


@once
def loss_tokens(group: Group) -> list[tuple[int, int, Members]]:
    """Every token that is in the loss: completion, position, process set."""
    return [
        (i, t, process_set(group, i, t))
        for i, row in enumerate(group)
        for t in range(len(row.tokens))
        if in_loss(row, t)
    ]


def unique_loss_tokens(group: Group) -> dict[tuple[Members, int], list[int]]:
    """Every token of the tree, once, that at least one member has in the loss, and those members."""
    having: dict[tuple[Members, int], list[int]] = {}
    for i, t, members in loss_tokens(group):
        having.setdefault((members, t), []).append(i)
    return having


def counted_sets(group: Group) -> set[Members]:
    """Process sets with a loss token of any member: only these are counted."""
    return {members for members, _ in unique_loss_tokens(group)}


def intermediate_tokens(group: Group) -> list[tuple[int, int, Members]]:
    return [token for token in loss_tokens(group) if kind(token[2], len(group)) == "intermediate"]


# ---------------------------------------------------------------- overlap


def path_depth(group: Group, i: int) -> int:
    """Reading: a set counts if ANY member has a loss token in it; without a loss token of its own i has depth 0."""
    if not any(in_loss(group[i], t) for t in range(len(group[i].tokens))):
        return 0
    return sum(i in members and kind(members, len(group)) == "intermediate" for members in counted_sets(group))


def proportion(group: Group, i: int, counts: Callable[[Members], bool]) -> float | None:
    """Share of the loss tokens of completion i whose process set counts; None without loss tokens."""
    own = [members for j, _, members in loss_tokens(group) if j == i]
    return mean(float(counts(members)) for members in own)


def intermediate_proportion(group: Group, i: int) -> float | None:
    return proportion(group, i, lambda members: kind(members, len(group)) == "intermediate")


def shared_proportion(group: Group, i: int) -> float | None:
    return proportion(group, i, lambda members: len(members) > 1)


def non_trivial(group: Group) -> bool:
    """Not flat. Reading: an intermediate set without a loss token does not make a tree non-trivial."""
    return any(kind(members, len(group)) == "intermediate" for members in counted_sets(group))


def identical(group: Group, members: Members) -> bool:
    """No branch follows: all members are the same to the end (token ids; their masks may differ)."""
    return len({tuple(group[j].tokens) for j in members}) == 1


def four_statistics(groups: Sequence[Group]) -> dict[str, float | None]:
    """Mean over completions, then over groups. Reading: a group without any proportion is left out of that mean."""
    return {
        "path_depth": mean(mean(path_depth(g, i) for i in range(len(g))) for g in groups),
        "intermediate_proportion": mean(present(mean_over(g, intermediate_proportion) for g in groups)),
        "shared_proportion": mean(present(mean_over(g, shared_proportion) for g in groups)),
        "non_trivial": mean(float(non_trivial(g)) for g in groups),
    }


def mean_over(group: Group, statistic: Callable[[Group, int], float | None]) -> float | None:
    return mean(present(statistic(group, i) for i in range(len(group))))


def identical_share(groups: Sequence[Group]) -> float | None:
    """Pooled: intermediate tokens of all groups."""
    return mean(float(identical(g, members)) for g in groups for _, _, members in intermediate_tokens(g))
