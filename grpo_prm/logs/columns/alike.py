"""Completions that may hold a prompt which no column tells: all of a group begin alike, each group in its own way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from typing import Any

from .first_rows import Rows, at, dumped
from .plan import Inside, Plan

_CHARACTERS, _IDS = 20, 8  # that all completions of a group share
_MEMBERS, _GROUPS, _MOST = 3, 3, 0.9


def begin_alike(rows: Rows, plan: Plan) -> str | None:
    """A sentence if the completions of each group begin alike, and otherwise than those of other groups.

    Args:
        rows: The first rows.
        plan: With `by` and `inside`. Where a mask tells what was sampled, or a prompt was cut off, nothing is said.
    """
    if "mask" in plan.paths or plan.inside != Inside():
        return None
    groups = [group for group in _groups(rows, plan).values() if len(group) >= _MEMBERS]
    shared = [reduce(_shared, group) for group in groups if any(one != group[0] for one in group)]
    # Behind what all completions of the log begin with: the head of a template, or how the policy thinks.
    head = len(reduce(_shared, shared)) if shared else 0
    enough = head + (_IDS if plan.unit == "tokens" else _CHARACTERS)
    alike = [one for one in shared if len(one) >= enough]
    if len(alike) < max(_GROUPS, _MOST * len(shared)):
        return None
    example = f" ({alike[0][head:][:40]!r}...)" if plan.unit == "completion" else ""
    return (
        f"In each group all completions begin alike, and otherwise than in other groups{example}: the prompt may stand"
        " in front of them. If it does, all shares are too large: write the answers alone, or name the prompt with"
        " --columns prompt=NAME."
    )


def _shared(one: Sequence[Any], other: Sequence[Any]) -> Sequence[Any]:
    """What two texts or lists both begin with."""
    same = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return one[: next(same, min(len(one), len(other)))]


def _groups(rows: Rows, plan: Plan) -> dict[Any, list[Sequence[Any]]]:
    """Texts or ids of each group of the first rows; those that are neither are passed over."""
    names = {"key": "group"}
    paths = [plan.paths.get(names.get(name, name)) for name in ("run", "step", *plan.by)]
    wanted = list if plan.unit == "tokens" else str
    groups = defaultdict(list)
    for number, row in enumerate(rows):
        unit = at(row, plan.paths[plan.unit])
        for member in unit if plan.grouped and isinstance(unit, list) else [unit]:
            if isinstance(member, wanted):
                key = number if plan.grouped else tuple(dumped(at(row, path)) for path in paths if path)
                groups[key].append(member)
    return groups
