"""JSON lines and parquet to canonical rows, whole columns at a time with polars: the fast way, if no row is wrong.

A chunk in which anything may be wrong is not read here: None is returned, and `records` reads it row by row and says
which rows are wrong. `wire` says what can be read this way, and `doubts` which values are looked at again.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ...core.identity import SENTINEL
from ..chunks import lines_of
from ..columns.first_rows import HUGE
from ..columns.plan import Plan
from ..rollouts import REWARD_PART
from ..sources import Source
from .doubts import may_be_wrong
from .id_lists import read_with_ids
from .records import row_schema
from .values import CUT_BY_LENGTH, LARGE

_OBJECT = re.compile(rb"\{\s*\"")
_NOT_NULL = ("step", "reward")  # a row may say null here where the plan lets it, but must not leave them out


def read_lines(
    data: bytes, plan: Plan, wire: Mapping[str, Any], file: int, line: int, source: Source
) -> pl.DataFrame | None:
    """Rows of JSON lines, or None if any of them is in doubt.

    Args:
        data: Whole lines.
        plan: What the columns mean.
        wire: `wire.wire_schema(plan)`.
        file: Index of the file in the log.
        line: Number of the first line.
        source: The file: its run and step are those of rows that do not name their own.

    Returns:
        What `records.to_row_batch` gives for the same lines, none of them rejected and none blank.
    """
    with_ids = read_with_ids(data, plan.paths["tokens"], wire) if "tokens" in plan.paths else None
    read, data = with_ids or (_read(data, wire), data)
    if read is None or not _keys_are_plain(data, read):
        return None
    if any(read[path].null_count() for path in _may_be_null(plan)) and not _nulls_are_written(data, read, plan):
        return None
    # An escape of a surrogate may be half of a pair, which polars replaces without a word; a backslash alone is looked
    # for first, as most chunks have none.
    if b"\\" in data and (b"\\ud" in data or b"\\uD" in data):
        return None
    return _rows(read, plan, file, line, source)


def _read(data: bytes, wire: Mapping[str, Any]) -> pl.DataFrame | None:
    try:
        read = pl.read_ndjson(io.BytesIO(data), schema=dict(wire))
    except (pl.exceptions.PolarsError, OverflowError):
        return None
    return read if len(read) == lines_of(data) else None  # a blank line has no row, and would shift the numbers


def read_frame(
    frame: pl.DataFrame, plan: Plan, wire: Mapping[str, Any], file: int, line: int, source: Source
) -> pl.DataFrame | None:
    """Rows of a slice of a parquet file, or None if any of them is in doubt; `line` numbers its first row."""
    absent = wire.keys() - set(frame.columns)
    if absent & {plan.paths.get(c) for c in _NOT_NULL}:
        return None
    # Of a column without values the first rows do not tell the type.
    absent |= {path for path in wire.keys() - absent if frame[path].null_count() == len(frame)}
    if not all(_fits(frame.schema[path], dtype) for path, dtype in wire.items() if path not in absent):
        return None
    columns = [pl.lit(None).alias(path) if path in absent else pl.col(path) for path in wire]
    try:
        read = frame.with_columns(columns).select(pl.col(path).cast(dtype) for path, dtype in wire.items())
    except pl.exceptions.PolarsError:
        return None
    return _rows(read, plan, file, line, source)


def _fits(given: Any, wanted: Any) -> bool:
    """A cast that only widens or narrows numbers; nothing turns into text, or text into something else."""
    if isinstance(wanted, pl.List):
        return isinstance(given, pl.List) and _fits(given.inner, wanted.inner)
    if wanted.is_integer():
        return given.is_integer()
    return given.is_numeric() if wanted.is_float() else given == wanted


def _keys_are_plain(data: bytes, read: pl.DataFrame) -> bool:
    """No line repeats a key that is read, and what is read as text is text: polars writes other values out.

    There are as many keys as values, or one at most on each line. A key between quotes and before a colon cannot stand
    inside a text, where the quotes would have backslashes.
    """
    unclear = []
    for name, dtype in read.schema.items():
        key = b'"%b":' % name.encode()
        values = len(read) - read[name].null_count()
        if dtype == pl.String and data.count(key + b'"') + data.count(key + b' "') != values:
            return False
        # The count over the whole chunk is cheap and settles nearly all cases; only then is each line looked at.
        unclear += [key] if data.count(key) != values else []
    return not unclear or all(line.count(key) <= 1 for line in data.split(b"\n") for key in unclear)


def _may_be_null(plan: Plan) -> list[str]:
    return [plan.paths[c] for c in _NOT_NULL if c in plan.optional and c in plan.paths]


def _nulls_are_written(data: bytes, read: pl.DataFrame, plan: Plan) -> bool:
    """Does every line say null, and none leave the key out? Where objects stand inside lines that is not known."""
    keys = (b'"%b":' % path.encode() for path in _may_be_null(plan) if read[path].null_count())
    return all(data.count(key) == len(read) for key in keys) and len(_OBJECT.findall(data)) == len(read)


def _rows(read: pl.DataFrame, plan: Plan, file: int, line: int, source: Source) -> pl.DataFrame | None:
    """The rows in the schema of the plan, or None if a check fails."""
    read = read.select(pl.col(path).alias(column) for column, path in plan.columns.items())
    if may_be_wrong(read, plan):
        return None
    schema = row_schema(plan)
    read = read.with_columns(_derived(read, plan))
    if plan.reward_weights and (read["reward"].abs() >= HUGE).any():
        return None
    lines = pl.Series("_line", np.arange(line, line + len(read), dtype=np.int64))
    read = read.with_columns(lines, pl.lit(file, pl.Int32()).alias("_file"))
    if "run" not in plan.paths:
        read = read.with_columns(pl.lit(source.run).alias("run"))
    if plan.step_of_file:
        read = read.with_columns(pl.lit(source.step, pl.Int64()).alias("step"))
    absent = [pl.lit(None, t).alias(c) for c, t in schema.items() if c not in read.columns]
    return read.with_columns(absent).select(list(schema)).cast(schema, strict=True)  # ty: ignore[invalid-argument-type]


def _derived(read: pl.DataFrame, plan: Plan) -> list[pl.Expr]:
    """Columns that are made of others, by the rules of `records`."""
    made = []
    if plan.reward_weights:
        total = pl.lit(0.0)
        for name, weight in plan.reward_weights.items():  # added one by one, as `records` does: equal to the last bit
            total = total + weight * pl.col(REWARD_PART + name).cast(pl.Float64).fill_null(0.0)
        made.append(total.alias("reward"))
    if "mask" in plan.paths and read["mask"].dtype == pl.List(pl.Int64):
        made.append(pl.col("mask").list.eval(pl.element() == 1))
    if "truncated" in plan.paths and read["truncated"].dtype == pl.String:
        made.append(pl.col("truncated").is_in(CUT_BY_LENGTH))
    for name in ("logprobs", "trainer_logprobs", "ref_logprobs"):
        if name in plan.paths:
            known = pl.element().abs() < LARGE  # false of NaN
            made.append(pl.col(name).list.eval(pl.when(known).then(pl.element()).otherwise(SENTINEL)))
    return made
