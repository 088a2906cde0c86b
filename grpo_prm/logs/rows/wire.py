"""Which columns of a log can be read whole with polars, and as which types: the wire schema of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from ..columns.plan import Inside, Plan
from ..rollouts import REWARD_PART
from .records import KEPT

# By column: the kinds of values (see `Plan.kinds`) that can be read this way, and the type to read each as. A kind that
# is not here, `mixed` say, leaves the whole log to `records`.
_TEXT = {"text": pl.String(), "none": pl.String()}
_NAME = _TEXT | {"int": pl.Int64()}
_NUMBERS = dict.fromkeys(("floats", "ints", "empty", "none"), pl.List(pl.Float64()))
_NUMBER = dict.fromkeys(("float", "int", "none"), pl.Float64())
_SCORE = _NUMBER | {"bool": pl.Boolean()}
_FLAGS = {"bools": pl.List(pl.Boolean()), "ints": pl.List(pl.Int64()), "floats": pl.List(pl.Float64())}
_WIRE: dict[str, dict[str, Any]] = {
    "run": {"text": pl.String()},
    "step": {"int": pl.Int64(), "text": pl.String(), "none": pl.Int64()},
    "key": _NAME,
    "problem": _NAME,
    "task": _NAME,
    "sample": _NAME,
    "prompt": _TEXT,
    "completion": _TEXT,
    "tokens": {"ints": pl.List(pl.Int32()), "empty": pl.List(pl.Int32())},
    "mask": _FLAGS | dict.fromkeys(("empty", "none"), pl.List(pl.Boolean())),
    "logprobs": _NUMBERS,
    "trainer_logprobs": _NUMBERS,
    "ref_logprobs": _NUMBERS,
    "reward": _SCORE,
    "advantage": _NUMBER,
    "truncated": {"bool": pl.Boolean(), "text": pl.String(), "int": pl.Int64(), "none": pl.Boolean()},
}
_KEPT = _TEXT | KEPT


def wire_schema(plan: Plan) -> dict[str, Any] | None:
    """Type of each column of the log as it is written, path to type, or None if only `records` can read this log."""
    if plan.grouped or plan.from_text or plan.refused or plan.labels:
        return None
    if plan.inside != Inside() or plan.words or plan.summed:
        return None
    columns = plan.columns
    if any(columns[name] != path for name, path in plan.own_columns.items()):
        return None  # a column that is taken along is called like one of ours
    wire: dict[str, Any] = {}
    for column, path in columns.items():
        kinds = _kinds(column, plan)
        dtype = kinds.get(plan.kinds.get(path, "none"))
        # polars reads the top level only, takes some names for patterns, and reads a column of two meanings as one.
        if dtype is None or "." in path or path == "*" or path.startswith("^") or wire.get(path, dtype) != dtype:
            return None
        wire[path] = dtype
    return wire


def _kinds(column: str, plan: Plan) -> Mapping[str, Any]:
    """What a column of the rows may be read as, by kind."""
    if column == "group" and "group" in plan.by:  # of a canonical log: as text it tells draws apart
        return _NAME
    if column in ("tokens_from", "run_from"):
        return _TEXT
    return _WIRE.get(column) or (_SCORE if column.startswith(REWARD_PART) else _KEPT)
