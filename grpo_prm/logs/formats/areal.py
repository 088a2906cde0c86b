"""AReaL's `rollout/{version}/{task_id}.jsonl`: a file is one group, and the step is the version of the policy.

`task_id` numbers the draws of a run and starts anew when a run does, so it names a group and no problem; a run that
was resumed may have another prompt under the same number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..sources import Source


def _detect(head: Head) -> bool:
    return head.has("task_id", "head_version", "tail_version", "prompt", "completion", "reward")


def flatten(record: Mapping[str, Any], source: Source) -> Iterator[Row]:
    """The row of a rollout.

    Args:
        record: A line.
        source: Its file: the folder names the version of the whole group, a line that of its own last token.
    """
    folder = source.path.parent.name
    of_group = folder.isdecimal() and source.path.stem == str(record["task_id"])
    yield {
        "step": int(folder) if of_group else record["tail_version"],
        "group": record["task_id"],
        "sample": record.get("sample_idx"),
        "prompt": record["prompt"],
        "completion": record["completion"],
        "reward": record["reward"],
    }


def _plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
    return replace(plan, by=("key", "prompt"), per_draw=True)


FORMAT = Format("areal", _detect, flatten, plan=_plan)
