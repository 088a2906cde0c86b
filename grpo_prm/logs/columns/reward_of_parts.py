"""The reward of a log that has its parts and no total: the weights that give the advantages of the first rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ...core.group_size import modal_size
from ..rollouts import REWARD_PART
from .first_rows import MISSING, Rows, at, number_in
from .parts import columns_of_numbers, found_parts, with_objects
from .plan import Plan


def with_reward_of_parts(plan: Plan, rows: Rows) -> Plan:
    """Settle the reward where only its parts are logged; other plans stay as they are.

    The first rows decide, with their groups as the plan makes them; how the others fit is seen when they are measured
    (`advantage_mismatch`).

    Args:
        plan: With paths, parts and keys; it may come from the `plan` of a format.
        rows: The first rows of the log.

    Returns:
        The plan with `reward_weights`, or with a note that asks for them.
    """
    if {"reward"} & plan.paths.keys() or plan.reward_weights or "advantage" not in plan.paths:
        return plan
    from ..rewards import reward_of_parts

    if not plan.parts:  # each function has a column of its own
        taken = {*plan.paths.values(), *plan.keep}
        bare = {name: path for name, path in columns_of_numbers(rows, taken).items() if "reward" in name.lower()}
        plan = replace(plan, parts=bare, optional=(*plan.optional, *(REWARD_PART + name for name in bare)))
    names = list(plan.parts)
    table = [one for number, row in enumerate(rows) for one in _completions(row, plan, number)]
    if not names or not table:
        _, note = reward_of_parts(np.zeros((0, len(names))), names, np.zeros(0), np.zeros(0, int), np.zeros(0, int))
        return replace(plan, notes=(*plan.notes, note))
    parts, logged, keys, steps = (list(column) for column in zip(*table, strict=True))
    groups, whole = _groups(keys, split=not plan.per_draw)
    step = _dense(steps)
    # The first rows may end within a step, whose deviation is another then: it is left out if it does not fit.
    for looked_at in (whole, whole & (step != step[-1])):
        advantages = np.where(looked_at, logged, np.nan)
        weights, note = reward_of_parts(np.array(parts), names, advantages, groups, step)
        if weights:
            return replace(plan, reward_weights=weights, notes=(*plan.notes, note))
    return replace(plan, notes=(*plan.notes, note))


def parts_of(rows: Rows, plan: Plan) -> dict[str, str]:
    """Parts of the reward in a log whose reward is not settled yet, name to path."""
    taken = set(plan.paths.values())
    return {} if plan.from_text else {**found_parts(rows, taken, True), **found_parts(rows, taken, False)}


def _completions(row: Any, plan: Plan, number: int) -> Iterator[tuple[list[float], float, str, str]]:
    """Parts, advantage, key and step of each completion of a row; `number` names a row that is a group by itself."""
    row = with_objects(row, plan.parts.values())
    paths = {"key": plan.paths.get("group", ""), **plan.paths}
    values = {name: at(row, path) for name, path in {**paths, **plan.reward_columns}.items()}
    logged = values["advantage"]
    members = len(logged) if plan.grouped and isinstance(logged, list) else 1
    for member in range(members):
        mine = {name: _of_member(value, member, members) for name, value in values.items()}
        step = _text([mine[c] for c in ("run", "step") if c in mine])
        key = _text([step, number if "_line" in plan.by else None, *(mine[c] for c in plan.by if c in mine)])
        yield [number_in(mine[REWARD_PART + name]) for name in plan.parts], number_in(mine["advantage"]), key, step


def _of_member(value: Any, member: int, members: int) -> Any:
    return value[member] if members > 1 and isinstance(value, list) and len(value) == members else value


def _groups(keys: list[str], *, split: bool) -> tuple[np.ndarray, np.ndarray]:
    """Group of each row, and whether it is whole, shape (rows,) each.

    A prompt that was drawn several times gives several groups, in file order; the first rows may end within a group.
    """
    bucket = _dense(keys)
    sizes = np.bincount(bucket)
    k = modal_size(sizes.tolist()) or 1
    place = np.empty(len(bucket), np.int64)
    place[np.argsort(bucket, kind="stable")] = np.arange(len(bucket)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    several = split & (sizes % k == 0)[bucket]
    groups = _dense(bucket * len(bucket) + np.where(several, place // k, 0))
    return groups, (np.bincount(groups) >= k)[groups]


def _dense(values: Any) -> np.ndarray:
    return np.unique(values, return_inverse=True)[1]


def _text(values: list[Any]) -> str:
    return json.dumps([None if v is MISSING else v for v in values], default=str, sort_keys=True)
