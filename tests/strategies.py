"""Hypothesis strategies for logs of small groups in which prefixes, strict prefixes and duplicates are common."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from oracle import Log
from oracle_sets import Group, Row

TOP = 2**31 - 1
REWARDS = {
    "binary": [0.0, 1.0],
    "shifted": [-1.0, 0.5],
    "fractional": [0.0, 0.1, 1 / 3, 0.5, 1.0, -2.0],
    "equal": [0.7],
}
MASKS = ("none", "role", "whole", "any")


@st.composite
def token_lists(draw, count: int, length: int = 7) -> list[list[int]]:
    """`count` completions: fresh ones over few ids, copies, strict prefixes and branches of earlier ones."""
    ids = st.lists(st.sampled_from(draw(st.sampled_from([(0, 1), (0, 1, 2), (3, TOP)]))), max_size=length)
    lists: list[list[int]] = []
    for _ in range(count):
        how = draw(st.sampled_from(["fresh", "copy", "prefix", "branch"])) if lists else "fresh"
        base = draw(st.sampled_from(lists)) if lists else []
        cut = draw(st.integers(0, len(base)))
        made = {"fresh": [], "copy": base, "prefix": base[:cut], "branch": base[:cut]}[how]
        lists.append((made + draw(ids))[:length] if how in ("fresh", "branch") else list(made))
    return lists


@st.composite
def masks(draw, tokens: list[list[int]], how: str) -> list[list[bool] | None]:
    """One mask per completion: none; by id (equal prefixes, equal masks); whole completions; anything."""
    if how == "role":
        out = draw(st.sets(st.sampled_from(sorted({t for row in tokens for t in row}) or [0])))
        return [[t not in out for t in row] for row in tokens]
    if how == "whole":
        return [[draw(st.booleans())] * len(row) for row in tokens]
    if how == "any":
        return [draw(st.lists(st.booleans(), min_size=len(row), max_size=len(row))) for row in tokens]
    return [None] * len(tokens)


@st.composite
def groups(
    draw,
    min_k: int = 1,
    max_k: int = 6,
    mask: str | None = None,
    rewards: str | None = None,
    advantages: bool = False,
    logprobs: bool = False,
    length: int = 7,
) -> list[Row]:
    """One group of `min_k` to `max_k` completions; `mask` and `rewards` name a kind, None: any kind."""
    tokens = draw(token_lists(draw(st.integers(min_k, max_k)), length))
    values = REWARDS[rewards or draw(st.sampled_from(sorted(REWARDS)))]
    mask_of = draw(masks(tokens, mask or draw(st.sampled_from(MASKS))))
    return [
        Row(
            row,
            mask_of[i],
            draw(st.sampled_from(values)),
            draw(st.sampled_from([-1.5, -0.25, 0.0, 1e-8, 0.5, 1.0])) if advantages else None,
            draw(st.lists(st.sampled_from([-0.125, -0.5, -2.25]), min_size=len(row), max_size=len(row)))
            if logprobs
            else None,
        )
        for i, row in enumerate(tokens)
    ]


def forests(mask: str | None = None, max_groups: int = 4, **options) -> st.SearchStrategy[list[list[Row]]]:
    """Zero or more groups."""
    return st.lists(groups(mask=mask, **options), max_size=max_groups)


@st.composite
def logs(draw, mask: str | None = None, max_groups: int = 4, **options) -> list[tuple[str, int | None, str, list[Row]]]:
    """A log of zero or more groups over one or two runs and steps (or no steps), all or none with advantages and so on.

    A log has rewards of one kind or of all; group keys are unique within a run and step.
    """
    kind = draw(st.sampled_from([None, *sorted(REWARDS)]))
    options = {"advantages": draw(st.booleans()), "logprobs": draw(st.booleans()), "rewards": kind, **options}
    rows = draw(forests(mask, max_groups, **options))
    steps = st.integers(0, 1) if draw(st.booleans()) else st.none()
    return [(draw(st.sampled_from("ab")), draw(steps), f"prompt {n}", group) for n, group in enumerate(rows)]


def flatten(forest: list[Group]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """The arrays of some groups: tokens (int32), lengths, groups (int64), and the mask, None where no row has one."""
    rows = [row for group in forest for row in group]
    tokens = np.array([t for row in rows for t in row.tokens], np.int32)
    lengths = np.array([len(row.tokens) for row in rows], np.int64)
    numbers = np.repeat(np.arange(len(forest), dtype=np.int64), [len(group) for group in forest])
    if all(row.mask is None for row in rows):
        return tokens, lengths, numbers, None
    mask = [m for row in rows for m in (row.mask if row.mask is not None else [True] * len(row.tokens))]
    return tokens, lengths, numbers, np.array(mask, bool)


def column(forest: list[Group], name: str) -> np.ndarray:
    """One float per completion: `reward` or `advantage`, NaN where missing."""
    return np.array([getattr(row, name) for group in forest for row in group], np.float64)


def rows_of(log: Log) -> list[Group]:
    """The groups of a log without their names."""
    return [rows for _, _, _, rows in log]
