"""HumanEval's `samples.jsonl_results.jsonl` and files like it: a completion a row, `passed` is its reward."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..format import Format, Head, Row
from ..sources import Source

_TEXTS = ("completion", "solution", "generation")


def _detect(head: Head) -> bool:
    rows = [row for row in head.rows if isinstance(row, Mapping)]
    texts = any(head.has(name) for name in _TEXTS)
    if any(map(head.has, ("reward", "score", "step"))):  # a log of training, in which passed is no reward
        return False
    return texts and head.has("task_id", "passed") and any(isinstance(row.get("passed"), bool) for row in rows)


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The one row of a record.

    Args:
        record: `{"task_id", "completion", "passed"}`; the text may be called solution or generation, too.
    """
    text = next((record[name] for name in _TEXTS if name in record), None)
    yield {**record, "group": record["task_id"], "completion": text, "reward": record["passed"]}


FORMAT = Format("human_eval", _detect, flatten)
