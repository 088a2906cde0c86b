"""Rows of a log, one Python object each, to canonical rows: the careful way, which says what is wrong where."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl

from ..columns.first_rows import MISSING, at
from ..columns.parts import with_objects
from ..columns.plan import LABELS, LISTS, Plan
from ..rollouts import PROMPT_HASH, REWARD_PART, SCHEMA
from ..sources import Source
from .rejects import raw_start, reject_frame
from .values import (
    Bad,
    advantage_of,
    completion_of,
    described,
    flags_of,
    floats_of,
    ids_of,
    json_list,
    kept_of,
    label_of,
    name_of,
    number_of,
    part_of,
    prompt_of,
    step_of,
    truncated_of,
)

# Columns as in the canonical table; `group` and `sample` are still names of the log here, and numbered by the grouping.
_NAMES = {"group": pl.String(), "sample": pl.String()}
_MAPPED = [column for column in SCHEMA if column not in ("run", "group_key", "tokens_from")]
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
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    size: int
    done: int


def row_schema(plan: Plan) -> dict[str, Any]:
    """Columns of the rows that a plan makes, with their types."""
    types: dict[str, Any] = {"_file": pl.Int32(), "_line": pl.Int64(), "run": pl.String()}
    types |= {"step": SCHEMA["step"]} if plan.step_of_file else {}
    types |= {"key" if c == "group" else c: _NAMES.get(c, SCHEMA[c]) for c in _MAPPED if c in plan.paths}
    if "completion" in plan.paths and "tokens" not in plan.paths:
        types["_segments"] = pl.List(pl.Int32())  # lengths of the segments of a chat (see `values.completion_of`)
    if plan.labels:
        types[PROMPT_HASH] = pl.Int64()  # of the ids before the first one in the loss
    if plan.reward_weights:
        types["reward"] = pl.Float64()
    types |= dict.fromkeys(plan.reward_columns, pl.Float64())
    return types | {name: KEPT.get(plan.kinds.get(name, ""), pl.String()) for name in plan.taken_along}


def parse_lines(data: bytes, line: int, parsed: Callable[[bytes], Any] | None = None) -> Iterator[Record]:
    """The rows of JSON lines, blank lines left out; `parsed` instead of `parse` makes a value of a line."""
    parsed = parsed or parse
    for number, text in enumerate(data.split(b"\n"), line):
        if stripped := text.strip():
            yield Record(number, parsed(stripped), stripped)


def parse(text: bytes) -> Any:
    """A JSON value, or what is wrong with it as a `Bad`."""
    try:
        return orjson.loads(text)
    except ValueError:
        pass  # NaN, half of a surrogate pair, a byte order mark: Python's own parser reads them, or says where it fails
    try:
        return json.loads(text.decode("utf-8-sig"))
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
    for record in records:
        for completion in _completions(record, plan):
            try:
                if isinstance(completion, Bad):
                    raise completion
                rows.append({**of_file, "_line": record.line, **_row(completion, plan)})
            except Bad as bad:
                rejected.append((source.name, record.line, bad.field, bad.reason, raw_start(record.raw)))
    return RowBatch(to_frame(rows, row_schema(plan)), reject_frame(rejected), size, done)


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


def _completions(record: Record, plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """The completions of a row: canonical column to value."""
    row = record.value
    if isinstance(row, Bad):
        yield row
    elif not isinstance(row, dict):
        yield Bad("", f"expected an object, got {described(row)}")
    elif plan.refused:
        yield Bad("completion", plan.refused)
    else:
        row = with_objects(row, plan.parts.values())
        values = {c: at(row, path) for c, path in {**plan.paths, **plan.reward_columns}.items()}
        # A kept column may be called like one of ours.
        values |= {f"\0{name}": at(row, path) for name, path in plan.taken_along.items()}
        yield from _members(values, plan) if plan.grouped else (values,)


def _members(values: dict[str, Any], plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """Take apart a row that holds a group in lists: k completions, each with its values; what is no list is of all."""
    lists = json_list(values[plan.unit])
    if not isinstance(lists, list):
        yield Bad(
            plan.unit, "missing" if lists is MISSING else f"expected a list of completions, got {described(lists)}"
        )
        return
    # A list under these names is one value per completion, and of another length an error. Under another name (prompt,
    # step, a kept column) it is that only if the length fits; else the list itself is the value.
    of_completions = {*LISTS, "completion", "reward", "advantage", "truncated", "sample"} & values.keys()
    of_completions |= {c for c in values if c.startswith(REWARD_PART)}
    split = {}
    for name, value in values.items():
        value = json_list(value) if name in of_completions else value
        if name in plan.optional and isinstance(value, list) and len(value) != len(lists):
            split[name] = [None] * len(lists)
            continue
        one_per_member = isinstance(value, list) and (name in of_completions or len(value) == len(lists))
        if name == "prompt" and isinstance(value, list) and value and isinstance(value[0], dict):
            one_per_member = False  # one chat of as many messages as there are completions
        if one_per_member and len(value) != len(lists):
            yield Bad(name, f"{len(value)} values for {len(lists)} completions")
            return
        split[name] = value if one_per_member else [value] * len(lists)
    for member in range(len(lists)):
        yield {name: value[member] for name, value in split.items()}


def _row(values: Mapping[str, Any], plan: Plan) -> dict[str, Any]:
    """One canonical row; raises `Bad` for the first field that cannot be used."""
    row: dict[str, Any] = {}
    if "run" in values:
        row["run"] = name_of(values["run"], "run")
    if "step" in values:
        row["step"] = None if values["step"] is None and "step" in plan.optional else step_of(values["step"])
    if "group" in values:
        row["key"] = name_of(values["group"], "group")
    if "sample" in values and values["sample"] not in (None, MISSING):
        row["sample"] = name_of(values["sample"], "sample")
    row |= {name: label_of(values[name]) for name in LABELS if name in values}
    if "prompt" in values:
        row["prompt"] = prompt_of(values["prompt"], needed="prompt" in plan.by)
    _add_units(values, row, plan)
    _add_rewards(values, row, plan)
    if "truncated" in values:
        row["truncated"] = truncated_of(values["truncated"])
    for name in plan.taken_along:
        row[name] = kept_of(values[f"\0{name}"], plan.kinds.get(name, ""))
    if "group" in plan.by and row["group"] is None:  # of a canonical log; all such rows would be one group
        raise Bad("group", "missing" if values["\0group"] is MISSING else "null")
    return row


def _add_units(values: Mapping[str, Any], row: dict[str, Any], plan: Plan) -> None:
    """The completion as text or ids, and the values of each token."""
    if "tokens" not in values:
        row["completion"], row["_segments"] = completion_of(values["completion"])
        return
    row["tokens"] = ids_of(values["tokens"])
    if values.get("completion", MISSING) not in (None, MISSING):
        row["completion"] = completion_of(values["completion"])[0]
        if not len(row["tokens"]) and row["completion"]:
            raise Bad("tokens", "no ids beside a completion that is not empty")
    for name in LISTS[1:]:
        value = json_list(values.get(name))
        if value is None or value is MISSING:
            continue
        try:
            row[name] = _beside_tokens(value, name, len(row["tokens"]), plan)
        except Bad:
            if name not in plan.optional:
                raise
    if plan.labels and "mask" in row:
        _without_prompt(row)


def _beside_tokens(value: Any, name: str, tokens: int, plan: Plan) -> Any:
    """The mask, or log-probabilities: one value for each token."""
    if not isinstance(value, list | np.ndarray):
        raise Bad(name, f"expected a list, got {described(value)}")
    if len(value) != tokens:
        raise Bad(name, f"{len(value)} values for {tokens} tokens")
    return flags_of(value, plan.labels) if name == "mask" else floats_of(value, name)


def _without_prompt(row: dict[str, Any]) -> None:
    """Leave out the tokens before the first one in the loss, but for a hash that tells prompts apart."""
    opens = int(row["mask"].argmax()) if row["mask"].any() else len(row["mask"])
    digest = blake2b(row["tokens"][:opens].tobytes(), digest_size=8).digest()
    row[PROMPT_HASH] = int.from_bytes(digest, "little", signed=True)  # of 64 bits, which a column of int64 holds
    row.update({name: row[name][opens:] for name in LISTS if name in row})


def _add_rewards(values: Mapping[str, Any], row: dict[str, Any], plan: Plan) -> None:
    """The reward, logged or as a weighted sum, and the advantage."""
    for name, weight in plan.reward_weights.items():
        value = values[REWARD_PART + name]
        if value in (None, MISSING):
            continue  # a reward function that does not apply; TRL adds it as 0
        row[REWARD_PART + name] = number = number_of(value, name, plan.from_text)
        row["reward"] = row.get("reward", 0.0) + weight * number
    for name in plan.parts:
        column = REWARD_PART + name
        row[column] = part_of(values[column], column, plan.from_text, column not in plan.optional)
    if plan.reward_weights and "reward" not in row:
        raise Bad("reward", "all columns of its sum are missing")
    if "reward" in plan.paths and not (values["reward"] is None and "reward" in plan.optional):
        row["reward"] = number_of(values["reward"], "reward", plan.from_text)
    if "advantage" in values:
        row["advantage"] = advantage_of(values["advantage"], plan.from_text)
