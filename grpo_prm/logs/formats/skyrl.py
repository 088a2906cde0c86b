"""SkyRL's `dumped_evals/global_step_{N}_evals/{data_source}.jsonl`: evaluation rollouts, without a key.

Groups are exact prompts. One prompt of a game may be that of several problems: the extras of the environment tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source
from .problems import APART, name_problems, one_text_of_several, problem_name


def _detect(head: Head) -> bool:
    """Its names, and those of an environment; a step stands in its paths and never in its rows."""
    own = any(map(head.has, ("env_class", "env_extras", "stop_reason")))
    return own and head.has("input_prompt", "output_response", "score") and not head.has("step")


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The row of a rollout; a score of one number a token is summed.

    Args:
        record: A line.
    """
    yield {
        "group": problem_name(record["input_prompt"], record.get("env_extras")),
        "prompt": record["input_prompt"],
        "completion": record["output_response"],
        "reward": _total(record["score"]),
        "truncated": record.get("stop_reason"),
        "task": record.get("data_source") or record.get("env_class"),
    }


def _total(score: Any) -> Any:
    if not isinstance(score, list):
        return score
    try:
        return float(sum(score))
    except (TypeError, OverflowError):
        raise Bad("reward", "expected one number a token") from None


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """Groups are problems, or exact prompts where the extras are others in every rollout."""
    prompts, names = [row["prompt"] for row in rows], [row["group"] for row in rows]
    notes = tuple(note for note in plan.notes if not note.startswith("The column group "))
    if not name_problems(prompts, names):
        paths = {c: path for c, path in plan.paths.items() if c != "group"}
        return replace(plan, paths=paths, by=("prompt",), per_draw=False, notes=notes)
    if not one_text_of_several(prompts, names):
        return replace(plan, by=("key",), per_draw=False, notes=notes)
    paths = {**plan.paths, "group": "group", "problem": "group"}
    notes = (*notes, APART.format("env_extras"))
    return replace(plan, paths=paths, by=("key",), per_draw=False, notes=notes)


FORMAT = Format("skyrl", _detect, flatten, columns={"group": "group"}, plan=_plan)
