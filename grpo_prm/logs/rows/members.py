"""The completions of a row of the log: canonical column to value. Most rows are one; some hold a group in lists."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..columns.first_rows import MISSING, at
from ..columns.parts import with_objects
from ..columns.plan import LISTS, Plan
from ..rollouts import REWARD_PART
from .values import Bad, described, json_list

# Values that are looked up beside the canonical columns, under names that no column has.
KEPT_AS = "\0"  # and the name of a kept column, which may be called like one of ours
PROMPT_IDS, START, LENGTH = "\1prompt_ids", "\1start", "\1length"  # of `plan.Inside`
CHAT = "\1chat"  # of `plan.Plan.chat`

# One value per completion, of another length an error; of the optional ones then none is read.
_OPTIONAL = ("logprobs", "trainer_logprobs", "ref_logprobs", "advantage", "truncated", "sample")
_OF_COMPLETIONS = {*LISTS, "completion", "reward", *_OPTIONAL}


def completions(row: Any, plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """The completions of a row, or what is wrong with it.

    Args:
        row: A JSON value, or the `Bad` that it is.
        plan: What the columns mean.

    Yields:
        Canonical column to value, `MISSING` where the row has none; the names above for what stands beside them.
    """
    if isinstance(row, Bad):
        yield row
    elif not isinstance(row, dict):
        yield Bad("", f"expected an object, got {described(row)}")
    elif plan.refused:
        yield Bad("completion", plan.refused)
    else:
        row = with_objects(row, plan.parts.values())
        values = {c: at(row, path) for c, path in {**plan.paths, **plan.reward_columns}.items()}
        values |= {KEPT_AS + name: at(row, path) for name, path in plan.taken_along.items()}
        inside = plan.inside
        beside = {PROMPT_IDS: inside.prompt_ids, START: inside.start, LENGTH: inside.length, CHAT: plan.chat}
        values |= {name: at(row, path) for name, path in beside.items() if path}
        yield from _members(values, plan) if plan.grouped else (values,)


def _members(values: dict[str, Any], plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """Take apart a row that holds a group in lists: k completions, each with its values; what is no list is of all."""
    lists = json_list(values[plan.unit])
    if not isinstance(lists, list):
        yield Bad(
            plan.unit, "missing" if lists is MISSING else f"expected a list of completions, got {described(lists)}"
        )
        return
    # A list under these names is one value per completion, and of another length an error. Under another name (prompt,
    # step, a kept column) it is that only if the length fits; else the list itself is the value.
    of_completions = _OF_COMPLETIONS & values.keys() | {c for c in values if c.startswith(REWARD_PART)}
    split = {}
    for name, value in values.items():
        value = json_list(value) if name in of_completions or name == CHAT else value
        if (name in plan.optional or name in _OPTIONAL) and isinstance(value, list) and len(value) != len(lists):
            split[name] = [[]] * len(lists)  # fits nothing: it is left out, and counted, row by row
            continue
        one_per_member = isinstance(value, list) and (name in of_completions or len(value) == len(lists))
        if one_per_member and name in ("prompt", PROMPT_IDS) and value and isinstance(value[0], dict | int):
            one_per_member = False  # one prompt of as many messages, or ids, as there are completions
        if one_per_member and len(value) != len(lists):
            yield Bad(name, f"{len(value)} values for {len(lists)} completions")
            return
        split[name] = value if one_per_member else [value] * len(lists)
    for member in range(len(lists)):
        yield {name: value[member] for name, value in split.items()}
