"""HumanEval's `samples.jsonl_results.jsonl`: a completion a row, `passed` is its reward."""

from __future__ import annotations

from collections.abc import Mapping

from ..format import Format, Head


def _detect(head: Head) -> bool:
    rows = [row for row in head.rows if isinstance(row, Mapping)]
    return head.has("task_id", "completion", "passed") and any(isinstance(row.get("passed"), bool) for row in rows)


FORMAT = Format("human_eval", _detect, columns={"group": "task_id", "problem": "task_id", "reward": "passed"})
