"""open-instruct's traces, `{run}_rollouts_{shard}.jsonl`: ids of prompt and response, groups by step and prompt_idx.

`prompt_idx` counts the draws of a step and starts anew in the next, so it names a group and no problem.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..columns.first_rows import dumped
from ..columns.plan import Plan
from ..format import Format, Head, Row

_COLUMNS = {
    "step": "step",
    "group": "prompt_idx",
    "sample": "sample_idx",
    "task": "dataset",
    "prompt": "prompt_tokens",
    "tokens": "response_tokens",
    "logprobs": "logprobs",
    "reward": "reward",
    "advantage": "advantage",
    "truncated": "finish_reason",
}
_FILTERED = "open-instruct leaves groups of equal rewards out of its traces unless filter_zero_std_samples is off."
_UNMASKED = "Tool output stands in the responses, and open-instruct does not log its mask: it counts as the policy's."


def _detect(head: Head) -> bool:
    ids = [row.get("response_tokens") for row in head.rows if isinstance(row, dict)]  # elsewhere it counts them
    named = head.has("prompt_idx", "prompt_tokens", "response_tokens", "reward")
    return named and any(isinstance(one, list) for one in ids)


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A group is all rows of one step and prompt_idx, never cut."""
    notes = [_FILTERED] if _none_equal(rows) else []
    if any(_called_tools(row.get("request_info")) for row in rows):
        notes.append(_UNMASKED)
    return replace(plan, by=("key",), per_draw=True, notes=(*plan.notes, *notes))


def _none_equal(rows: Sequence[Row]) -> bool:
    """Does every group have two rewards or more among the first rows?"""
    rewards: dict[tuple[str, str], list[object]] = {}
    for row in rows:  # what stands there may be a list, by mistake
        rewards.setdefault((dumped(row.get("step")), dumped(row.get("prompt_idx"))), []).append(row.get("reward"))
    several = [of_group for of_group in rewards.values() if len(of_group) > 1]
    return bool(several) and not any(of_group.count(of_group[0]) == len(of_group) for of_group in several)


def _called_tools(info: object) -> bool:
    return isinstance(info, dict) and any(info.get(name) for name in ("num_calls", "tool_calleds", "tool_outputs"))


FORMAT = Format("open-instruct", _detect, columns=_COLUMNS, plan=_plan)
