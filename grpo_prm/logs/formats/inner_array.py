"""A JSON file that is one object with one list of rows somewhere inside; lists of other objects may lie beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..columns.plan import NAMES
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source
from .dict_of_lists import of_all_rows
from .nested_lists import is_rollout

DEPTH = 3
_LOOKED_AT = 8


def _detect(head: Head) -> bool:
    return head.container == "json" and len(head.rows) == 1 and rows_inside(head.rows[0]) is not None


def rows_inside(value: Any) -> list[Row] | None:
    """The one list of objects inside an object, or the one of several that holds rollouts; else None."""
    arrays = dict(_arrays(value))
    if len(arrays) > 1:
        arrays = {path: rows for path, rows in arrays.items() if all(map(is_rollout, rows[:_LOOKED_AT]))}
    return next(iter(arrays.values())) if len(arrays) == 1 else None


def _flatten(record: Any, _source: Source) -> list[Row]:
    rows = rows_inside(record)
    if rows is None:
        raise Bad("", f"an object with {len(dict(_arrays(record))) or 'no'} lists of rows")
    named = {name for row in rows for name in row}
    shared = {ours: value for ours, value in of_all_rows(record).items() if not named.intersection(NAMES[ours])}
    return [{**shared, **row} for row in rows]


def _arrays(value: Any, path: str = "", depth: int = DEPTH) -> Iterator[tuple[str, list[Any]]]:
    """Arrays of objects inside objects, with their dotted paths."""
    if isinstance(value, list):
        if path and value and all(isinstance(item, dict) for item in value):
            yield path, value
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _arrays(inner, f"{path}.{key}" if path else key, depth - 1)


FORMAT = Format("inner_array", _detect, _flatten)
