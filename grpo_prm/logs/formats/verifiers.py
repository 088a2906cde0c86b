"""verifiers 0.1 to 0.3: results.jsonl of an evaluation, one rollout a row, and a metadata.json beside it.

Versions 0.1.3 to 0.1.5 log an `id` that mixes examples (they divide the number of a row by the rollouts of an example,
but go through all examples again and again), so it is never used. The metadata tell how many examples there are;
without them the examples are told apart by prompt, answer and info.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import polars as pl

from ..columns.plan import Plan
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rows.records import RowBatch
from ..rows.values import Bad
from ..sources import Source
from .generic import open_log

_OWN = ("prompt", "completion", "reward", "task")
_BY_CONTENT = (
    "The id of verifiers 0.1.3 to 0.1.5 mixes examples: rows of one prompt, answer and info are taken for one example."
)
_BY_CYCLE = "The id of verifiers 0.1.3 to 0.1.5 mixes examples: metadata.json names {} examples, and rows take turns."


def flatten(record: dict[str, Any], _source: Source) -> Iterator[Row]:
    """The rollout, its example under `group`.

    Raises:
        Bad: It ended with an error.
    """
    check_error(record)
    if "prompt" not in record:
        raise Bad("prompt", "missing")
    row = {name: value for name, value in record.items() if name != "id"}
    example = record.get("example_id")
    key = _content(record) if example is None else example
    if example is not None and (task := record.get("task")) not in (None, "", "default"):
        key = f"{task}/{example}"  # each environment of a group counts its examples from 0
    yield row | {"group": key, "problem": key}


def check_error(record: dict[str, Any]) -> None:
    """Refuse a rollout that ended with an error: its reward says nothing of the completion."""
    if error := record.get("error"):
        kind = error.get("error") or error.get("type") if isinstance(error, dict) else error
        raise Bad("error", f"the rollout ended with an error ({str(kind)[:60]})")


def _content(record: dict[str, Any]) -> str:
    told = [record.get(name) for name in ("prompt", "answer", "info")]
    return blake2b(json.dumps(told, sort_keys=True, default=str).encode(), digest_size=6).hexdigest()


def _examples(head: Head) -> int | None:
    """How many examples take turns, by the metadata beside the file; None where the first rows do not fit them."""
    if head.source.pipe:
        return None
    try:
        said = json.loads((head.source.path.parent / "metadata.json").read_text("utf-8"))
        examples, rollouts = int(said["num_examples"]), int(said["rollouts_per_example"])
    except (OSError, ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return None
    keys = [_content(row) for row in head.rows]
    turns = 0 < examples < 2**31 and all(key == keys[i % examples] for i, key in enumerate(keys))
    return examples if turns and len(keys) <= examples * rollouts else None


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """The log; of versions with a wrong `id` grouped by the turns of the examples, where the metadata allow it."""
    wrong = not head.has("example_id") and head.has("id") and "group" not in options.columns
    examples = _examples(head) if wrong and len(sources) == 1 else None
    note = _BY_CYCLE.format(examples) if examples else _BY_CONTENT

    def plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
        return replace(plan, notes=(*plan.notes, *((note,) if wrong else ())), per_draw=bool(examples))

    log = open_log(sources, options, head, format_=replace(FORMAT, plan=plan, open=None))
    if not examples:
        return log
    return replace(log, row_batches=lambda: _by_turns(log.row_batches(), examples), read_part=None)


def _by_turns(batches: Iterator[RowBatch], examples: int) -> Iterator[RowBatch]:
    """Rows under the number of their example: the number of the line, over and over from 0."""
    number = ((pl.col("_line") - 1) % pl.lit(examples)).cast(pl.String())
    for batch in batches:
        yield batch._replace(rows=batch.rows.with_columns(key=number))


def _detect(head: Head) -> bool:
    rows = [row for row in head.rows if isinstance(row, dict)]
    keys = {key for row in rows for key in row}
    if not keys.issuperset(_OWN[:3]) or keys & {"group_id", "problem_id"}:
        return False
    if "example_id" in keys:
        return bool(keys & {"is_completed", "stop_condition", "generation_ms", "task"})
    return {"id", "task"} <= keys and (_mixes(rows) or _examples(head) is not None)


def _mixes(rows: Sequence[dict[str, Any]]) -> bool:
    """Does an id only ever grow, as the number of a row through k does, and hold more than one example?"""
    ids: list[int] = [row["id"] for row in rows if type(row.get("id")) is int]
    if len(ids) < len(rows) or ids != sorted(ids):
        return False
    return len({(number, _content(row)) for number, row in zip(ids, rows, strict=True)}) > len(set(ids))


FORMAT = Format("verifiers", _detect, flatten, columns={"group": "group", "problem": "problem"}, open=_open)
