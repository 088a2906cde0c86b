"""Lists beside the ids of a log, of one value a token: which of them can be used, and what the mask holds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from .first_rows import Rows, at, exists, kind_of
from .plan import LISTS, NAMES, Inside, Plan

# Kinds of columns that are no lists of numbers, in words.
_OTHERS = {"objects": "objects", "object": "objects", "chat": "objects", "texts": "texts", "text": "text"}
_IGNORED = -100  # the label that loss functions leave out


def with_lists_that_fit(plan: Plan) -> Plan:
    """Leave out lists of one value a token where ids are not logged."""
    if "tokens" not in plan.paths:  # units that are made from text are others than those that were sampled
        left = {c: path for c, path in plan.paths.items() if c not in LISTS}
        if len(left) < len(plan.paths):
            return replace(plan, paths=left, cautions=(*plan.cautions, _not_used(plan)))
    return plan


def _not_used(plan: Plan) -> str:
    """Which lists are left out where only text is logged."""
    found = [plan.paths[c] for c in LISTS[1:] if c in plan.paths]
    if len(found) > 1:
        names = f"{', '.join(found[:-1])} and {found[-1]}"
        return f"The columns {names} are not used: they have a value per token, and no token ids are logged."
    return f"The column {found[0]} is not used: it has a value per token, and no token ids are logged."


def lists_of_others(rows: Rows, plan: Plan, from_text: bool, off: Collection[str]) -> tuple[str, ...]:
    """Say which columns are called like lists of numbers, but hold something else.

    Log-probabilities as OpenAI and vLLM return them are objects, {"token", "logprob"}: their tokens are texts, which do
    not say which ids they are of.
    """
    told = []
    for column in LISTS[1:]:
        names = [] if column in plan.paths or column in off else NAMES[column]
        held = {name: _OTHERS.get(kind_of(rows, name, from_text)) for name in names if exists(rows, name)}
        told += [
            f"The column {name} holds {what}, not one number for each token id, so it is not used."
            for name, what in held.items()
            if what
        ]
    return tuple(told)


def with_logprobs_that_fit(plan: Plan, rows: Rows) -> Plan:
    """Leave out log-probabilities that fit the ids of no row; where they fit some, the others are read without."""
    if plan.inside != Inside():  # what is cut off the ids may be what the lists leave out
        return plan
    for column in LISTS[2:]:
        pairs = [(at(row, plan.paths[column]), at(row, plan.paths["tokens"])) for row in rows if column in plan.paths]
        lists = [pair for pair in pairs if isinstance(pair[0], list) and isinstance(pair[1], list)]
        if not lists or any(_one_value_each(*pair, plan.grouped) for pair in lists):
            continue
        note = f"The column {plan.paths[column]} does not hold one number for each token id, so it is not used."
        paths = {c: p for c, p in plan.paths.items() if c != column}
        plan = replace(plan, paths=paths, cautions=(*plan.cautions, note))
    return plan


def with_labels(plan: Plan, rows: Rows) -> Plan:
    """Note whether the mask holds labels, as a loss function takes them."""
    masks = (at(row, plan.paths["mask"]) for row in rows) if "mask" in plan.paths else ()
    if not any(
        _IGNORED in mask or any(isinstance(m, list) and _IGNORED in m for m in mask)
        for mask in masks
        if isinstance(mask, list)
    ):
        return plan
    note = "The mask holds labels: -100 is out of the loss, and tokens before the first other label are the prompt."
    return replace(plan, labels=True, notes=(*plan.notes, note))


def _one_value_each(values: Any, ids: Any, grouped: bool) -> bool:
    """Is a list as long as the ids, or null; of a group, is one of its lists?"""
    if values is None or not isinstance(values, list) or not isinstance(ids, list) or len(values) != len(ids):
        return values is None
    return not grouped or any(_one_value_each(*pair, False) for pair in zip(values, ids, strict=True))
