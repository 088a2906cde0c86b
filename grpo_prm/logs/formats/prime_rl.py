"""prime-rl 0.6: train_rollouts.jsonl, one rollout a row, with the id that a group was given when it was dispatched.

Later versions write traces (`traces`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..sources import Source
from .verifiers import check_error

_OWN = ("group_id", "rollout_id", "prompt", "completion", "reward")
_COLUMNS = {"group": "group", "task": "env_name", "problem": "problem"}
_FILTERED = (
    "Rollouts that a filter took out of the loss (is_filtered) are members of their groups: their rewards made the"
    " advantages of the others."
)


def flatten(record: dict[str, Any], _source: Source) -> Iterator[Row]:
    """The rollout under our names.

    Raises:
        Bad: It ended with an error.
    """
    check_error(record)
    row = {**record, "group": record["group_id"], "sample": record["rollout_id"]}
    if (example := record.get("example_id")) is not None:
        row["problem"] = f"{record['env_name']}/{example}"  # every environment counts its examples from 0
    yield row


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A group is one draw, and a filter is named."""
    notes = (*plan.notes, _FILTERED) if any(row.get("is_filtered") is True for row in rows) else plan.notes
    return replace(plan, per_draw=plan.per_draw or plan.paths.get("group") == "group", notes=notes)


def _detect(head: Head) -> bool:
    return head.has(*_OWN, "env_name") and not head.has("token_ids")


FORMAT = Format("prime-rl", _detect, flatten, columns=_COLUMNS, plan=_plan)
