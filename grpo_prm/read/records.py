"""Rows of a log, one Python object each, to canonical rows: the careful way, which says what is wrong with which row."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson
import polars as pl

from ..rollouts import REJECTED, REWARD_PART
from .chat import messages_of, parts
from .columns import LISTS, MISSING, Plan, at

RAW = 200  # characters of a rejected row that are kept
INT32 = 2**31
LARGE = 1e30  # beyond it a log-probability is not one
DIGITS = r"-?[0-9]{1,18}"  # a step that is written as text
STOPPED = ("length", "max_tokens", "truncated")  # reasons to stop that mean the length limit
_KEPT = {"int": pl.Int64(), "float": pl.Float64(), "bool": pl.Boolean()}


class Bad(Exception):
    """One row that cannot be used: the field and the reason. Caught here and kept among the rejected rows."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


class Record(NamedTuple):
    """A row of the log: its number (line or element), its value or what is wrong with it, and how it looks."""

    line: int
    value: Any
    raw: Any


class Part(NamedTuple):
    """Some rows of a log on their way to the canonical table.

    Attributes:
        rows: Columns of `row_schema`, in the order of the log.
        rejected: `rollouts.REJECTED`.
        size: Bytes of the log behind it, unpacked.
        done: Bytes read so far of the file on disk, this part included.
    """

    rows: pl.DataFrame
    rejected: pl.DataFrame
    size: int
    done: int


def row_schema(plan: Plan) -> dict[str, Any]:
    """Columns of the rows that a plan makes, with their types."""
    types: dict[str, Any] = {"_file": pl.Int32(), "_line": pl.Int64(), "run": pl.String()}
    mapped = {
        "step": pl.Int64(),
        "group": pl.String(),
        "sample": pl.String(),
        "prompt": pl.String(),
        "completion": pl.String(),
        "tokens": pl.List(pl.Int32()),
        "mask": pl.List(pl.Boolean()),
        "logprobs": pl.List(pl.Float32()),
        "ref_logprobs": pl.List(pl.Float32()),
        "reward": pl.Float64(),
        "advantage": pl.Float64(),
        "truncated": pl.Boolean(),
    }
    types |= {"key" if c == "group" else c: t for c, t in mapped.items() if c in plan.paths}
    if "completion" in plan.paths and "tokens" not in plan.paths:
        types["_spans"] = pl.List(pl.Int32())  # lengths of the pieces of a chat, in and out of the loss by turns
    if plan.parts:
        types["reward"] = pl.Float64()
        types |= {REWARD_PART + part: pl.Float64() for part in plan.parts}
    return types | {name: _KEPT.get(plan.kinds.get(name, ""), pl.String()) for name in plan.keep}


def parse_lines(data: bytes, line: int) -> Iterator[Record]:
    """The rows of JSON lines, blank lines left out."""
    for number, text in enumerate(data.split(b"\n"), line):
        if stripped := text.strip():
            yield Record(number, _parse(stripped), stripped)


def _parse(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except ValueError:
        pass  # NaN, a lone surrogate, a byte order mark: Python's own parser reads them, and says where it cannot
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Bad("", f"invalid UTF-8 (byte {error.start + 1} of the line)")
    except (ValueError, RecursionError) as error:
        return Bad("", f"not JSON ({error})")


def to_part(records: Iterable[Record], plan: Plan, file: int, name: str, run: str, size: int, done: int) -> Part:
    """Turn rows of a log into canonical rows, and list those that cannot be.

    Args:
        records: Rows of one file.
        plan: What the columns mean.
        file: Index of the file in the log.
        name: Its name, for messages.
        run: Run of the rows that do not name their own.
        size: Bytes behind the records.
        done: Bytes of the file read so far.

    Returns:
        Rows and rejected rows, one of the two for every completion; a row of lists that cannot be taken apart counts
        as one.
    """
    rows: list[dict[str, Any]] = []
    rejected: list[tuple[str, int, str, str, str]] = []
    for record in records:
        for one in _taken_apart(record, plan):
            try:
                if isinstance(one, Bad):
                    raise one
                rows.append({"_file": file, "_line": record.line, "run": run, **_row(one, plan)})
            except Bad as bad:
                rejected.append((name, record.line, bad.field, bad.reason, raw_start(record.raw)))
    return Part(to_frame(rows, row_schema(plan)), reject_frame(rejected), size, done)


def to_frame(rows: list[dict[str, Any]], schema: Mapping[str, Any]) -> pl.DataFrame:
    """Rows as a table, lists given as arrays."""
    return pl.DataFrame([_series(name, [row.get(name) for row in rows], dtype) for name, dtype in schema.items()])


def _series(name: str, values: list[Any], dtype: Any) -> pl.Series:
    if not isinstance(dtype, pl.List):
        return pl.Series(name, values, dtype, strict=True)
    arrays = [v for v in values if v is not None]
    lists = pl.Series(name, arrays, dtype).cast(dtype)  # arrays of one length come out as pl.Array, whatever was asked for
    if len(arrays) == len(values):
        return lists
    index, at = [], 0
    for value in values:
        index.append(None if value is None else at)
        at += value is not None
    return pl.DataFrame({name: lists}).select(pl.col(name).gather(pl.Series(index, dtype=pl.UInt32))).to_series()


def reject_frame(rows: list[tuple[str, int | None, str, str, str]]) -> pl.DataFrame:
    """Rejected rows as a table."""
    return pl.DataFrame(rows, REJECTED, orient="row")


def raw_start(raw: Any) -> str:
    """The start of a row as it stands in the log."""
    if isinstance(raw, bytes):
        return raw[: 4 * RAW].decode("utf-8", "replace")[:RAW]
    text = raw if isinstance(raw, str) else json.dumps(raw, default=str, ensure_ascii=False)[: 4 * RAW]
    return text.encode("utf-8", "replace").decode()[:RAW]


def _taken_apart(record: Record, plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """The completions of a row: canonical column to value."""
    row = record.value
    if isinstance(row, Bad):
        yield row
    elif not isinstance(row, dict):
        yield Bad("", f"expected an object, got {_called(row)}")
    elif plan.refused:
        yield Bad("completion", plan.refused)
    else:
        values = {c: at(row, path) for c, path in plan.paths.items()}
        values |= {REWARD_PART + part: at(row, part) for part in plan.parts} | {f"\0{k}": at(row, k) for k in plan.keep}
        yield from _members(values, plan) if plan.grouped else (values,)


def _members(values: dict[str, Any], plan: Plan) -> Iterator[Bad | dict[str, Any]]:
    """Take a row of lists apart: k completions, each with its own reward; what is no list belongs to all of them."""
    unit = "tokens" if "tokens" in plan.paths else "completion"
    lists = _json_list(values[unit])
    if not isinstance(lists, list):
        yield Bad(unit, "missing" if lists is MISSING else f"expected a list of completions, got {_called(lists)}")
        return
    each = {"completion", "tokens", "reward", "advantage", "truncated", "sample"} & values.keys()
    each |= {c for c in values if c.startswith(REWARD_PART)}
    split = {}
    for name, value in values.items():
        value = _json_list(value) if name in (*LISTS, *each) else value
        one_per_member = isinstance(value, list) and (name in (*LISTS, *each) or len(value) == len(lists))
        if name == "prompt" and isinstance(value, list) and value and isinstance(value[0], dict):
            one_per_member = False  # one chat
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
        row["run"] = _name(values["run"], "run")
    if "step" in values:
        row["step"] = None if values["step"] is None and "step" in plan.optional else _step(values["step"])
    if "group" in values:
        row["key"] = _name(values["group"], "group")
    if "sample" in values and values["sample"] not in (None, MISSING):
        row["sample"] = _name(values["sample"], "sample")
    if "prompt" in values:
        row["prompt"] = _prompt(values["prompt"], needed="prompt" in plan.by)
    _unit(values, row)
    _rewards(values, row, plan)
    if "truncated" in values:
        row["truncated"] = _truncated(values["truncated"])
    for name in plan.keep:
        row[name] = _kept(values[f"\0{name}"], plan.kinds.get(name, ""))
    return row


def _unit(values: Mapping[str, Any], row: dict[str, Any]) -> None:
    """The completion: its text, its ids, and what goes along with each id."""
    if "tokens" not in values:
        row["completion"], row["_spans"] = _completion(values["completion"])
        return
    row["tokens"] = _ids(values["tokens"])
    if values.get("completion", MISSING) not in (None, MISSING):
        row["completion"] = _completion(values["completion"])[0]
        if not len(row["tokens"]) and row["completion"]:
            raise Bad("tokens", "no ids beside a completion that is not empty")
    for name in ("mask", "logprobs", "ref_logprobs"):
        value = _json_list(values.get(name))
        if value is None or value is MISSING:
            continue
        if not isinstance(value, list):
            raise Bad(name, f"expected a list, got {_called(value)}")
        if len(value) != len(row["tokens"]):
            raise Bad(name, f"{len(value)} values for {len(row['tokens'])} tokens")
        row[name] = _flags(value) if name == "mask" else _floats(value, name)


def _rewards(values: Mapping[str, Any], row: dict[str, Any], plan: Plan) -> None:
    for part, weight in plan.parts.items():
        value = values[REWARD_PART + part]
        if value in (None, MISSING):
            continue  # a reward function that does not apply; TRL adds it as 0
        row[REWARD_PART + part] = number = _number(value, part, plan.from_text)
        row["reward"] = row.get("reward", 0.0) + weight * number
    if plan.parts and "reward" not in row:
        raise Bad("reward", "all its parts are missing")
    if "reward" in plan.paths and not (values["reward"] is None and "reward" in plan.optional):
        row["reward"] = _number(values["reward"], "reward", plan.from_text)
    if "advantage" in values:
        row["advantage"] = _advantage(values["advantage"], plan.from_text)


def _name(value: Any, field: str) -> str:
    """A key of the log as text."""
    if value is None or value is MISSING:
        raise Bad(field, "missing" if value is MISSING else "null")
    if isinstance(value, list | dict):
        raise Bad(field, f"expected a name or a number, got {_called(value)}")
    return _clean(value, field) if isinstance(value, str) else str(value)


def _step(value: Any) -> int:
    if isinstance(value, str) and re.fullmatch(DIGITS, value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise Bad("step", "missing" if value is MISSING else f"expected a whole number, got {_called(value)}")
    return value


def _prompt(value: Any, needed: bool) -> str | None:
    if value in (None, MISSING):
        if needed:
            raise Bad("prompt", "missing" if value is MISSING else "null")
        return None
    return _completion(value, "prompt")[0]


def _completion(value: Any, field: str = "completion") -> tuple[str, np.ndarray | None]:
    """Text, and for a chat the lengths of its pieces, out of and in the loss by turns."""
    if isinstance(value, str):
        messages = messages_of(value)
        if messages is None:
            return _clean(value, field), None
        value = messages
    if isinstance(value, dict) and "role" in value:
        value = [value]
    if not isinstance(value, list) or not all(isinstance(m, dict) for m in value):
        raise Bad(field, "missing" if value is MISSING else f"expected text or a chat, got {_called(value)}")
    try:
        pieces = parts(value)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Bad(field, f"a chat that cannot be read ({error})") from None
    lengths = [0]
    for text, in_loss in pieces:
        if in_loss != bool((len(lengths) - 1) % 2):
            lengths.append(0)
        lengths[-1] += len(text)
    return _clean("".join(text for text, _ in pieces), field), np.array(lengths, np.int32)


def _clean(text: str, field: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Bad(field, "not Unicode (half of a surrogate pair)") from None
    return text


def _json_list(value: Any) -> Any:
    """A list that is written as text (CSV cells, JSON in JSON), else the value as it is."""
    if isinstance(value, str) and value[:1] == "[":
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value.tolist() if isinstance(value, np.ndarray) else value


def _ids(value: Any) -> np.ndarray:
    value = _json_list(value)
    if not isinstance(value, list):
        raise Bad("tokens", "missing" if value is MISSING else f"expected a list of ids, got {_called(value)}")
    if odd := set(map(type, value)) - {int}:
        raise Bad("tokens", f"expected whole numbers, got {_called(next(v for v in value if type(v) in odd))}")
    try:
        ids = np.array(value, np.int64)
    except OverflowError:
        raise Bad("tokens", f"the id {max(value, key=abs)} is beyond int32") from None
    if len(ids) and ids.min() < 0:
        raise Bad("tokens", f"the id {ids.min()} is negative")
    if len(ids) and ids.max() >= INT32:
        raise Bad("tokens", f"the id {ids.max()} is beyond int32")
    return ids.astype(np.int32)


def _flags(value: list[Any]) -> np.ndarray:
    """Whether each token is in the loss: true or 1, or anything but -100 where labels are logged."""
    types = set(map(type, value))
    if types - {bool, int}:
        raise Bad("mask", f"expected true and false or 0 and 1, got {_called(next(v for v in value if type(v) not in (bool, int)))}")
    flags = np.array(value)
    labels = types == {int} and len(flags) and (flags.min() < 0 or flags.max() > 1)
    return flags != -100 if labels else flags.astype(bool)


def _floats(value: list[Any], field: str) -> np.ndarray:
    types = set(map(type, value))
    if types - {int, float}:
        raise Bad(field, f"expected numbers, got {_called(next(v for v in value if type(v) not in (int, float)))}")
    floats = np.array(value, np.float64)
    if not (np.abs(floats) < LARGE).all():
        raise Bad(field, "not finite")
    return floats.astype(np.float32)


def _number(value: Any, field: str, from_text: bool = False) -> float:
    """A finite number; true and false are 1 and 0."""
    if from_text and isinstance(value, str):
        value = _spelt(value)
    if isinstance(value, bool | int | float) and abs(value) <= sys.float_info.max:
        return float(value)
    if value is MISSING or value is None:
        raise Bad(field, "missing" if value is MISSING else "null")
    raise Bad(field, f"expected a finite number, got {_called(value)}")


def _advantage(value: Any, from_text: bool) -> float | None:
    """A logged advantage; null where there is none, and one number for a list that repeats it."""
    if isinstance(value, list) and value and all(v == value[0] for v in value):
        value = value[0]
    if value in (None, MISSING, "") or (isinstance(value, float) and math.isnan(value)):
        return None
    return _number(value, "advantage", from_text)


def _spelt(cell: str) -> Any:
    if cell.strip().lower() in ("true", "false"):
        return cell.strip().lower() == "true"
    try:
        return float(cell)
    except ValueError:
        return cell if cell else None


def _truncated(value: Any) -> bool | None:
    """Stopped by the length limit, as a flag or as the reason that a sampler gives."""
    if isinstance(value, str):
        return value in (*STOPPED, "true", "True")
    return bool(value) if isinstance(value, bool | int) else None


def _kept(value: Any, kind: str) -> Any:
    if value is MISSING or value is None:
        return None
    if kind in _KEPT:
        wanted = {"int": int, "float": (int, float), "bool": bool}[kind]
        return value if isinstance(value, wanted) else None
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def _called(value: Any) -> str:
    """What a value is, for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:30]!r}"
    if isinstance(value, int | float):
        return f"{value}"
    return "a list" if isinstance(value, list) else "an object"
