"""Prime Intellect's hosted RL: the results of a run as they are exported, one rollout a row.

Prompt, completion, metrics and answer are JSON text; a problem may be drawn several times in a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..columns.plan import Plan
from ..format import Format, Head, Row

_OWN = ("run_id", "step", "problem_id", "sample_id", "prompt", "completion", "reward", "env_name")


def _plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
    """A problem may be drawn again in a step."""
    return replace(plan, per_draw=False)


def _detect(head: Head) -> bool:
    return head.has(*_OWN)


FORMAT = Format("prime-hosted", _detect, columns={"task": "env_name"}, plan=_plan)
