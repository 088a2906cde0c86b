"""JSON lines and parquet to canonical rows, whole columns at a time with polars: the fast way, if no row is wrong.

polars checks types, but lets null and missing fields, null and negative ids, repeated keys and half surrogate pairs
pass. So the columns are checked afterwards. A chunk in which anything may be wrong is not read here: None is returned,
and `records` reads it row by row and says which rows are wrong.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from ..chunks import lines_of
from ..columns.first_rows import HUGE
from ..columns.plan import LISTS, Inside, Plan
from ..rollouts import REWARD_PART
from ..sources import Source
from .id_lists import read_with_ids
from .records import KEPT, row_schema
from .values import CUT_BY_LENGTH, DIGITS, LARGE

# By column: the kinds of values (see `Plan.kinds`) that can be read this way, and the type to read each as. A kind that
# is not here, `mixed` say, leaves the whole log to `records`.
_NAME = {"int": pl.Int64(), "text": pl.String()}
_NUMBERS = {"floats": pl.List(pl.Float64()), "none": pl.List(pl.Float64())}
_NUMBER = {"float": pl.Float64(), "int": pl.Float64(), "none": pl.Float64()}
_WIRE: dict[str, dict[str, Any]] = {
    "run": {"text": pl.String()},
    "step": {"int": pl.Int64(), "text": pl.String(), "none": pl.Int64()},
    "group": _NAME,
    "problem": _NAME,
    "task": _NAME,
    "sample": _NAME,
    "prompt": {"text": pl.String(), "none": pl.String()},
    "completion": {"text": pl.String(), "none": pl.String()},
    "tokens": {"ints": pl.List(pl.Int32()), "empty": pl.List(pl.Int32())},
    "mask": {"bools": pl.List(pl.Boolean()), "ints": pl.List(pl.Int64()), "none": pl.List(pl.Boolean())},
    "logprobs": _NUMBERS,
    "trainer_logprobs": _NUMBERS,
    "ref_logprobs": _NUMBERS,
    "reward": _NUMBER | {"bool": pl.Boolean()},
    "advantage": _NUMBER,
    "truncated": {"bool": pl.Boolean(), "text": pl.String(), "none": pl.Boolean()},
}
_PART = _NUMBER | {"bool": pl.Boolean()}
_KEPT_TEXT = KEPT | {"text": pl.String()}
_NEEDED = ("run", "step", "group", "reward")


def wire_schema(plan: Plan) -> dict[str, Any] | None:
    """Type of each column of the log as it is written, or None if only `records` can read this log."""
    if plan.grouped or plan.from_text or plan.refused or plan.labels:
        return None
    if plan.inside != Inside() or plan.words or plan.summed:
        return None
    # Of a canonical log `group` tells the groups apart and `group_key` names them: here only one of them is read.
    if "group" in plan.by:
        return None
    wire: dict[str, Any] = {}
    parts = {REWARD_PART + name for name in plan.parts}
    for column, path in plan.columns.items():
        kinds = _WIRE.get(column) or (
            _PART if column in parts else _NUMBER if column in plan.reward_columns else _KEPT_TEXT
        )
        dtype = kinds.get(plan.kinds[column])
        # polars reads the top level only, and a column of two meanings as one type.
        if dtype is None or "." in path or path == "*" or path.startswith("^") or wire.get(path, dtype) != dtype:
            return None
        wire[path] = dtype
    return wire


def read_lines(
    data: bytes, plan: Plan, wire: Mapping[str, Any], file: int, line: int, source: Source
) -> pl.DataFrame | None:
    """Rows of JSON lines, or None if any of them is in doubt.

    Args:
        data: Whole lines.
        plan: What the columns mean.
        wire: `wire_schema(plan)`.
        file: Index of the file in the log.
        line: Number of the first line.
        source: The file: its run and step are those of rows that do not name their own.

    Returns:
        What `records.to_row_batch` gives for the same lines, none of them rejected and none blank.
    """
    with_ids = read_with_ids(data, plan.paths["tokens"], wire) if "tokens" in plan.paths else None
    read, data = with_ids or (_read(data, wire), data)
    if read is None or not _keys_are_single(data, read):
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
    if not set(wire) <= set(frame.columns) or not all(_fits(frame.schema[path], dtype) for path, dtype in wire.items()):
        return None
    try:
        read = frame.select(pl.col(path).cast(dtype, strict=True) for path, dtype in wire.items())
    except pl.exceptions.PolarsError:
        return None
    floats = [path for path, dtype in wire.items() if dtype == pl.Float64()]
    if any((~read[path].is_finite()).any() for path in floats):
        return None
    return _rows(read, plan, file, line, source)


def _fits(given: Any, wanted: Any) -> bool:
    """A cast that only widens or narrows numbers; nothing turns into text, or text into something else."""
    if isinstance(wanted, pl.List):
        return isinstance(given, pl.List) and _fits(given.inner, wanted.inner)
    if wanted.is_integer():
        return given.is_integer()
    return given.is_numeric() if wanted.is_float() else given == wanted


def _keys_are_single(data: bytes, read: pl.DataFrame) -> bool:
    """No line repeats a key that is read: there are as many keys as values, or one at most on each line.

    A key between quotes and before a colon cannot stand inside a text, where the quotes would have backslashes.
    """
    for name in read.columns:
        key = b'"%b":' % name.encode()
        # The count over the whole chunk is cheap and settles nearly all cases; only then is each line looked at.
        if data.count(key) != len(read) - read[name].null_count() and any(
            line.count(key) > 1 for line in data.split(b"\n")
        ):
            return False
    return True


def _rows(read: pl.DataFrame, plan: Plan, file: int, line: int, source: Source) -> pl.DataFrame | None:
    """The rows in the schema of the plan, or None if a check fails."""
    read = read.select(pl.col(path).alias(column) for column, path in plan.columns.items())
    if _may_be_wrong(read, plan):
        return None
    schema = row_schema(plan)
    read = read.rename({"group": "key"} if "group" in plan.paths else {}).with_columns(_derived(read, plan))
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
    return made


def _may_be_wrong(read: pl.DataFrame, plan: Plan) -> bool:
    """Does a column hold what `records` may reject or read in another way?"""
    needed = [c for c in _NEEDED if c in plan.paths and c not in plan.optional]
    needed += ["prompt"] if "prompt" in plan.by else []
    needed.append(plan.unit)
    if any(read[c].null_count() for c in needed):
        return True
    scores = [c for c in read.columns if c in ("reward", "advantage") or c.startswith(REWARD_PART)]
    if any((read[c].abs() >= HUGE).any() for c in scores if read[c].dtype == pl.Float64):
        return True
    if (
        plan.reward_weights
        and read.select(pl.all_horizontal(pl.col(REWARD_PART + name).is_null() for name in plan.reward_weights))
        .to_series()
        .any()
    ):
        return True
    if (
        "step" in plan.paths
        and read["step"].dtype == pl.String
        and not read["step"].str.contains(f"^(?:{DIGITS})$").all()
    ):
        return True
    if any(read[c].str.contains('"role"', literal=True).any() for c in ("prompt", "completion") if c in plan.paths):
        return True  # it may be a chat written as JSON
    if any(text.str.contains(r"^[\[{]").any() for text in read.iter_columns() if text.dtype == pl.String):
        return True  # polars writes a list or an object out where text is expected
    return "tokens" in plan.paths and _ids_may_be_wrong(read, plan)


def _ids_may_be_wrong(read: pl.DataFrame, plan: Plan) -> bool:
    ids = read["tokens"]
    flat = ids.list.explode(empty_as_null=False)
    if flat.null_count() or (len(flat) and flat.to_numpy().min() < 0):
        return True
    lengths = ids.list.len()
    if "completion" in plan.paths and ((lengths == 0) & (read["completion"] != "")).any():
        return True
    for name in LISTS[1:]:
        if name in plan.paths:
            flat = read[name].drop_nulls().list.explode(empty_as_null=False)
            if (read[name].list.len() != lengths).any() or flat.null_count():
                return True
            if flat.dtype == pl.Float64 and not (flat.abs() < LARGE).all():
                return True
            if flat.dtype == pl.Int64 and not flat.is_in([0, 1]).all():
                return True
    return False
