"""reasoning-gym's evaluation results: categories, data sets, questions, and the completions of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source
from .nested_lists import Place, leaves, places

_OWN = {"full_model_response", "score"}


def _detect(head: Head) -> bool:
    return any(_place(record) for record in head.rows)


def _place(record: Any) -> Place | None:
    """Where the completions stand: under `results`, of one data set or of all."""
    if not isinstance(record, Mapping):
        return None
    for place in places(record):
        if place[-4:] == ("results", "[]", "completions", "[]"):
            leaf = next((leaf for _, _, leaf in leaves(record, place)), None)
            if isinstance(leaf, Mapping) and leaf.keys() >= _OWN:
                return place
    return None


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row | Bad]:
    """The completions of all questions; one without a response is a `Bad`.

    Args:
        record: `{"categories": [{"datasets": [{"name", "results": [{"question", "completions": [{"score",
            "full_model_response"}]}]}]}]}`, or one of its data sets.
    """
    place = _place(record)
    if place is None:
        raise Bad("", "no completions under results")
    for parent, outer, leaf in leaves(record, place):
        if leaf.get("full_model_response") is None:
            yield Bad("completion", f"no response ({leaf.get('error', 'null')})"[:120])
            continue
        key = f"{outer.get('name', '')}/{parent.rpartition('.')[2]}"
        yield {
            "group": key,
            "task_id": key,
            "task": outer.get("name"),
            "prompt": outer.get("question"),
            "completion": leaf["full_model_response"],
            "reward": leaf["score"],
        }


def _plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
    return replace(plan, by=("key",), per_draw=False)


FORMAT = Format("reasoning_gym", _detect, flatten, plan=_plan)
