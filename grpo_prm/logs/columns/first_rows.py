"""What stands in the first rows of a log: which names, and values of which kind under each."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.prm import HUGE
from ...errors import UsageError

Rows = Sequence[Mapping[str, Any]]
MISSING: Any = object()


def at(row: Any, path: str) -> Any:
    """Value under a dotted path, `MISSING` without one. A key with dots in it comes first; lists are mapped over."""
    if isinstance(row, dict):
        if path in row:  # before the dots are followed: a name may hold some itself
            return row[path]
        head, _, rest = path.partition(".")
        return at(row[head], rest) if rest and head in row else MISSING
    if isinstance(row, list):
        values = [at(item, path) for item in row]
        return MISSING if not values or any(v is MISSING for v in values) else values
    return MISSING


def flat(value: Any) -> Sequence[Any]:
    """The items of a list; any other value as the only item."""
    return value if isinstance(value, list) else (value,)


def exists(rows: Rows, path: str) -> bool:
    """Does a row have a value under the path?"""
    return any(at(row, path) not in (MISSING, None) for row in rows)


def has(rows: Rows, path: str) -> bool:
    """Does a row have the path, null or not?"""
    return any(at(row, path) is not MISSING for row in rows)


def dumped(value: Any) -> str:
    """A value as text that is equal for equal values; of a missing one the empty text."""
    return "" if value is MISSING else json.dumps(value, sort_keys=True, default=str)


def check_present(rows: Rows, path: str, name: str, option: str) -> None:
    """Refuse the path of an option (`--keep x`) that no row of the file `name` has, with the columns that there are."""
    if has(rows, path):
        return
    where, names = _level(rows, path)
    # Paths of one level begin alike, and that is not what may be misspelt.
    start = f"{where}." if names else ""
    ends = {other.removeprefix(start): other for other in names or names_of(rows)}
    near = [ends[end] for end in difflib.get_close_matches(path.removeprefix(start), ends, 1, 0.5)]
    hint = f" Did you mean {near[0]}?" if near else " Name one of them."
    there = f"under {where} there are {_some(names)}" if names else f"there are {listed(rows)}"
    raise UsageError(f"{name}: {option}: there is no column {path}; {there}.{hint}")


def _level(rows: Rows, path: str) -> tuple[str, list[str]]:
    """How far a dotted path leads into objects, and the paths that go on from there; none where it leads nowhere."""
    where = path.rpartition(".")[0]
    while where and not exists(rows, where):
        where = where.rpartition(".")[0]
    found = (value for row in rows if (value := at(row, where)) not in (MISSING, None)) if where else ()
    below = [item for value in found for item in (value if isinstance(value, list) else [value])]
    return where, list(dict.fromkeys(f"{where}.{key}" for item in below if isinstance(item, dict) for key in item))


def names_of(rows: Rows) -> list[str]:
    """Names of the log, those one level down too, in the order of the log."""
    names: dict[str, None] = {}
    for row in rows:
        for key, value in row.items():
            names[key] = None
            # One level down, through a list too; but not into a chat, whose role and content are no columns.
            inner = value[0] if isinstance(value, list) and value else value
            if isinstance(inner, dict) and "role" not in inner:
                names.update(dict.fromkeys(f"{key}.{k}" for k in inner))
    return list(names)


def listed(rows: Rows) -> str:
    """The columns of a log for a message."""
    text = _some(names_of(rows))
    return text.encode("utf-8", "backslashreplace").decode()  # a CSV may name columns in no UTF-8


def _some(names: Sequence[str]) -> str:
    """The first 40 names, each its first 50 characters: a damaged log may be called by a whole row."""
    short = [name if len(name) <= 50 else f"{name[:49]}…" for name in names[:40]]
    return ", ".join(short) + (f" and {len(names) - 40} more" if len(names) > 40 else "") if names else "none"


_SCALARS = {bool: "bool", int: "int", float: "float", str: "text"}
_OF_LIST = {bool: "bools", int: "ints", float: "floats", str: "texts", list: "lists"}


def kind_of(rows: Rows, path: str, from_text: bool) -> str:
    """What the rows hold under a path: the name of one kind, `none`, or `mixed`."""
    kinds = {
        _kind_of_value(parsed(v) if from_text else v) for row in rows if (v := at(row, path)) not in (None, MISSING)
    }
    # An empty list fits every kind of list, and an int among floats is a float that happens to be whole.
    if len(kinds) > 1 and "empty" in kinds:
        kinds.discard("empty")
    for narrow, wide in (("int", "float"), ("ints", "floats")):
        if kinds == {narrow, wide}:
            kinds = {wide}
    return next(iter(kinds)) if len(kinds) == 1 else "mixed" if kinds else "none"


def _kind_of_value(value: Any) -> str:
    if isinstance(value, list):
        types = set(map(type, value)) - {type(None)}  # type, as True is an instance of int
        if types == {int, float}:
            return "floats"
        if types == {dict}:
            return "chat" if all("role" in item for item in value if item) else "objects"
        return _OF_LIST.get(next(iter(types)), "mixed") if len(types) == 1 else "mixed" if types else "empty"
    if isinstance(value, dict):
        return "chat" if "role" in value else "object"
    return _SCALARS.get(type(value), "mixed")


def number_in(value: Any) -> float:
    """A value as a number below `HUGE`, one for a list that repeats it; NaN for anything else."""
    if isinstance(value, list) and value and all(v == value[0] for v in value):
        value = value[0]
    value = parsed(value)
    return float(value) if isinstance(value, int | float) and abs(value) < HUGE else float("nan")


def parsed(value: Any) -> Any:
    """A cell of a CSV as the JSON value that it spells, else as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return {"true": True, "false": False}.get(value.lower(), value)
