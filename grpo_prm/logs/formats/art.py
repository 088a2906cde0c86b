"""ART: trajectories/SPLIT/STEP.parquet, one trajectory a row; before, STEP.jsonl, one group a line.

All messages stand in one list, the prompt among them. Those that the model wrote are marked: `trainable` in parquet,
a choice with its finish_reason in JSON lines. What stands before the first of them is the prompt, few-shot turns too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source

_TAKEN = ("messages", "messages_and_choices", "group_index", "tools", "logs")


def flatten(record: dict[str, Any], _source: Source) -> Iterator[Row | Bad]:
    """The trajectory of a row, or those of a group."""
    if "trajectories" not in record:
        yield _row(record, record["messages"]) | {"group_index": record["group_index"]}
        return
    for trajectory in record["trajectories"]:
        try:
            yield _row(trajectory, [_message(said) for said in trajectory["messages_and_choices"]])
        except Bad as bad:
            yield bad


def _message(said: dict[str, Any]) -> dict[str, Any]:
    """A message, or the one in a choice of the model."""
    if "finish_reason" not in said:
        return {**said, "trainable": False}
    return {**said["message"], "trainable": True, "finish_reason": said["finish_reason"]}


def _row(trajectory: dict[str, Any], messages: list[dict[str, Any]]) -> Row:
    """One trajectory, cut where the model begins to write.

    Raises:
        Bad: It wrote nothing.
    """
    opens = next((i for i, message in enumerate(messages) if message.get("trainable")), None)
    if opens is None:
        raise Bad("messages", "no message is trainable")
    row = {name: value for name, value in trajectory.items() if name not in _TAKEN}
    reasons = [message["finish_reason"] for message in messages if "finish_reason" in message]
    row |= {"truncated": reasons[-1] == "length"} if reasons else {}
    return row | {"prompt": messages[:opens], "completion": messages[opens:]}


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A line of the old files is a group; `group_index` is made anew in each file."""
    if any("group_index" in row for row in rows) or "group" in plan.paths:
        return plan
    return replace(plan, by=("_file", "_line"), per_draw=True)


def _detect(head: Head) -> bool:
    rows = [row for row in head.rows if isinstance(row, dict)]
    return any(_is_group(row) or _is_row(row) for row in rows)


def _is_group(row: dict[str, Any]) -> bool:
    inner = row.get("trajectories")
    return (
        isinstance(inner, list)
        and bool(inner)
        and all(isinstance(t, dict) and "messages_and_choices" in t for t in inner)
    )


def _is_row(row: dict[str, Any]) -> bool:
    said = row.get("messages")
    marked = isinstance(said, list) and any("trainable" in message for message in said if isinstance(message, dict))
    return marked and "group_index" in row


FORMAT = Format("art", _detect, flatten, plan=_plan)
