"""Columns that are called like those of a completion and are of its group: ids of the prompt, the mean of rewards."""

from __future__ import annotations

from collections import defaultdict

from .evidence import of_prompts
from .first_rows import Rows, at, dumped, number_in
from .plan import Plan

_GROUPS = 3


def ids_are_of_prompts(rows: Rows, tokens: str, completion: str | None) -> bool:
    """Are ids the same wherever the prompt is, though the texts differ?"""
    return completion is not None and of_prompts(rows, tokens) and not of_prompts(rows, completion)


def reward_is_of_groups(rows: Rows, plan: Plan) -> str | None:
    """A sentence if all rows of each group have one reward, and groups have rewards that are no verdicts."""
    path = plan.paths.get("reward")
    if path is None or plan.grouped or "advantage" in plan.paths:
        return None
    paths = [plan.paths.get({"key": "group"}.get(name, name)) for name in ("run", "step", *plan.by)]
    groups = defaultdict(list)
    for row in rows:
        groups[tuple(dumped(at(row, p)) for p in paths if p)].append(number_in(at(row, path)))
    several = [set(group) for group in groups.values() if len(group) > 1]
    values = set().union(*several)
    if len(several) < _GROUPS or len(values) < 2 or any(len(group) > 1 for group in several) or values <= {0.0, 1.0}:
        return None
    return (
        f"The reward under {path} is the same in all rows of each group, and may be their mean: name the reward of"
        " each completion with --columns reward=NAME."
    )
