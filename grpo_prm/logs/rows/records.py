"""Rows of a log, one Python object each, to canonical rows: the careful way, which says what is wrong where."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson
import polars as pl

from ...json_text import unicode_names
from ..columns.first_rows import MISSING
from ..columns.plan import LABELS, Plan
from ..rollouts import ENDS_WITH, PROMPT_CUT, PROMPT_HASH, REWARD_PART, SCHEMA, UNITS_FROM
from ..sources import Source
from .members import KEPT_AS, completions
from .numbers import advantage_of, is_none, number_of, part_of, sum_of
from .rejects import raw_start, reject_frame
from .units import add_units
from .values import Bad, kept_of, label_of, name_of, prompt_of, step_of, truncated_of

# Columns as in the canonical table; `group` and `sample` are still names of the log here, and numbered by the grouping.
_NAMES = {"group": pl.String(), "sample": pl.String()}
_MAPPED = [column for column in SCHEMA if column not in ("run", "run_from", "group_key", "tokens_from")]
KEPT = {"int": pl.Int64(), "float": pl.Float64(), "bool": pl.Boolean()}


class Record(NamedTuple):
    """A row of the log: its number (line or element), its value or the `Bad` that it is, and how it stands there."""

    line: int
    value: Any
    raw: Any


class RowBatch(NamedTuple):
    """The rows of one chunk of a log, on their way to the canonical table.

    Attributes:
        rows: Columns of `row_schema`, in the order of the log.
        rejected: `rollouts.REJECTED`.
        size: Bytes of the log that they came from, unpacked.
        done: Bytes read so far of the file on disk, this batch included.
        told: What was done to single rows, as a sentence (see `told`), to their number.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    size: int
    done: int
    told: Counter[str] = Counter()  # noqa: RUF012 - added to, never changed


def row_schema(plan: Plan) -> dict[str, Any]:
    """Columns of the rows that a plan makes, with their types."""
    types: dict[str, Any] = {"_file": pl.Int32(), "_line": pl.Int64(), "run": pl.String()}
    types |= {"step": SCHEMA["step"]} if plan.step_of_file else {}
    types |= {"key" if c == "group" else c: _NAMES.get(c, SCHEMA[c]) for c in _MAPPED if c in plan.paths}
    if "completion" in plan.paths and "tokens" not in plan.paths:
        types["_segments"] = pl.List(pl.Int32())  # lengths of the segments of a chat (see `values.completion_of`)
    if plan.labels or plan.inside.front:
        # A hash of the ids before the completion, and their number.
        types |= {PROMPT_HASH: pl.Int64(), PROMPT_CUT: pl.Int64()}
    if plan.chat:
        types[ENDS_WITH] = pl.String()
    if plan.reward_weights:
        types["reward"] = pl.Float64()
    types |= dict.fromkeys(plan.reward_columns, pl.Float64())
    return types | {name: KEPT.get(kind, pl.String()) for name, kind in plan.kinds_taken_along.items()}


def parse_lines(data: bytes, line: int, parsed: Callable[[bytes], Any] | None = None) -> Iterator[Record]:
    """The rows of JSON lines, blank lines left out; `parsed` instead of `parse` makes a value of a line."""
    parsed = parsed or parse
    # Of blank lines alone there may be millions.
    for number, text in () if data.isspace() else enumerate(data.split(b"\n"), line):
        if stripped := text.strip():
            yield Record(number, parsed(stripped), stripped)


def parse(text: bytes) -> Any:
    """A JSON value, or what is wrong with it as a `Bad`."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass  # NaN, half of a surrogate pair, a byte order mark: Python's own parser reads them, or says where it fails
    try:
        return json.loads(text.decode("utf-8-sig"), object_pairs_hook=unicode_names)
    except UnicodeDecodeError as error:
        return Bad("", f"invalid UTF-8 (byte {error.start + 1} of the line)")
    except json.JSONDecodeError as error:
        return Bad("", f"not JSON ({error.msg.removesuffix(' at')} at character {error.pos + 1})")
    except (ValueError, RecursionError) as error:
        return Bad("", f"not JSON ({error})")


def to_row_batch(records: Iterable[Record], plan: Plan, file: int, source: Source, size: int, done: int) -> RowBatch:
    """Turn rows of a log into canonical rows, and list those that cannot be used.

    Args:
        records: Rows of one file.
        plan: What the columns mean.
        file: Index of the file in the log.
        source: The file: its name for messages, its run and step for rows that do not name their own.
        size: Bytes that the records came from.
        done: Bytes of the file read so far.

    Returns:
        Rows and rejected rows, one of the two for every completion. A row that holds a group in lists, of lengths that
        do not fit together, is one rejected row.
    """
    of_file = {"_file": file, "run": source.run, **({"step": source.step} if plan.step_of_file else {})}
    rows: list[dict[str, Any]] = []
    rejected: list[tuple[str, int | None, str, str, str]] = []
    told: Counter[str] = Counter()
    for record in records:
        for completion in completions(record.value, plan):
            said: list[str] = []
            try:
                if isinstance(completion, Bad):
                    raise completion
                rows.append({**of_file, "_line": record.line, **_row(completion, plan, said)})
                told.update(said)
            except RecursionError:
                reason = "nested too deeply"
                rejected.append((source.name, record.line, "", reason, raw_start(record.raw)))
            except Bad as bad:
                rejected.append((source.name, record.line, bad.field, bad.reason, raw_start(record.raw)))
    return RowBatch(to_frame(rows, row_schema(plan)), reject_frame(rejected), size, done, told)


def to_frame(rows: list[dict[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a table, lists given as arrays."""
    return pl.DataFrame([_series(name, [row.get(name) for row in rows], dtype) for name, dtype in schema.items()])


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    if not isinstance(dtype, pl.List):
        return pl.Series(name, values, dtype, strict=True)
    # polars takes numpy arrays far faster without nulls between them: the lists are made first, and then put in place.
    arrays = [v for v in values if v is not None]
    lists = pl.Series(name, arrays, dtype)
    lists = lists.cast(dtype)  # arrays of one length come out as pl.Array, whatever was asked for
    if len(arrays) == len(values):
        return lists
    index, at = [], 0
    for value in values:
        index.append(None if value is None else at)
        at += value is not None
    return pl.DataFrame({name: lists}).select(pl.col(name).gather(pl.Series(index, dtype=pl.UInt32))).to_series()


def _row(values: Mapping[str, Any], plan: Plan, said: list[str]) -> dict[str, Any]:
    """One canonical row; raises `Bad` for the first field that cannot be used."""
    row: dict[str, Any] = {}
    if "run" in values:
        row["run"] = name_of(values["run"], "run")
    if "step" in values:
        row["step"] = None if values["step"] is None and "step" in plan.optional else step_of(values["step"])
    if "group" in values:
        row["key"] = name_of(values["group"], "group")
    if "sample" in values and values["sample"] not in (None, MISSING):
        _add_or_tell(row, "sample", lambda: name_of(values["sample"], "sample"), said)
    row |= {name: label_of(values[name]) for name in LABELS if name in values}
    if "prompt" in plan.by:
        row["prompt"] = prompt_of(values["prompt"], needed=True)
    elif "prompt" in values:
        _add_or_tell(row, "prompt", lambda: prompt_of(values["prompt"], needed=False), said)
    add_units(values, row, plan, said)
    _add_rewards(values, row, plan, said)
    if "truncated" in values:
        row["truncated"] = truncated_of(values["truncated"])
    for name, kind in plan.kinds_taken_along.items():
        row[name] = kept_of(values[KEPT_AS + name], kind)
    if "tokens_from" in row and row["tokens_from"] not in UNITS_FROM:  # of a canonical log, as is the next
        row["tokens_from"] = UNITS_FROM[0]
        said.append(f"The tokens_from of {{rows}} is none of {', '.join(UNITS_FROM)}, and taken as {UNITS_FROM[0]}.")
    if "group" in plan.by and row["group"] is None:  # all such rows would be one group
        raise Bad("group", "missing" if values[KEPT_AS + "group"] is MISSING else "null")
    return row


def _add_or_tell(row: dict[str, Any], name: str, value: Callable[[], Any], said: list[str]) -> None:
    """A value that the row can do without: null where it cannot be read."""
    try:
        row[name] = value()
    except Bad:
        said.append(f"The {name} of {{rows}} cannot be read and is left out.")


def _add_rewards(values: Mapping[str, Any], row: dict[str, Any], plan: Plan, said: list[str]) -> None:
    """The reward, logged or as a weighted sum, and the advantage."""
    for name, weight in plan.reward_weights.items():
        column = REWARD_PART + name
        if is_none(values[column]):
            continue  # a reward function that does not apply; TRL adds it as 0
        row[column] = number = number_of(values[column], name, plan.from_text, plan.words.get(column))
        row["reward"] = row.get("reward", 0.0) + weight * number
    for name in plan.parts:
        column = REWARD_PART + name
        row[column] = part_of(
            values[column], column, plan.from_text, column not in plan.optional, plan.words.get(column)
        )
    if plan.reward_weights:
        if "reward" not in row:
            raise Bad("reward", "all columns of its sum are missing")
        row["reward"] = number_of(row["reward"], "reward")
    if "reward" in plan.paths and not (values["reward"] is None and "reward" in plan.optional):
        value = sum_of(values["reward"]) if plan.summed else values["reward"]
        row["reward"] = number_of(value, "reward", plan.from_text, plan.words.get("reward"))
    if "advantage" not in values:
        return
    try:
        row["advantage"] = advantage_of(values["advantage"], plan.from_text)
    except Bad:
        if "reward" not in row:
            raise  # nothing else says how good the completion is
        said.append("The advantage of {rows} is not one finite number (one for each token, say), and is left out.")
