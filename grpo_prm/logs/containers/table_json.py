"""A JSON table: `{"columns": [...], "data": [[...], ...]}`, as W&B and pandas write it; a record a row."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from typing import Any

from ...errors import InputError
from ..rows.records import Record, parse
from ..rows.values import Bad
from ..sources import Source
from ..unpacking import unpacked
from .container import Container, Records
from .whole_file import read_whole

_SPACE = re.compile(r"\s*")
_NOT_FINITE = ("NaN", "Infinity", "-Infinity")  # how W&B writes what JSON has no number for


def _claims(source: Source, start: bytes) -> bool:
    if start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"{":
        return False
    if not re.search(rb'"columns"\s*:\s*\[', start) and not source.path.name.endswith(".table.json"):
        return False  # most objects are settled without a look at their values
    keys, whole = _top(start.decode("utf-8", "replace"))
    columns, rows = keys.get("columns"), keys.get("data", "")
    named = isinstance(columns, list) and all(isinstance(name, str | int) for name in columns)
    listed = (
        all(isinstance(row, list) for row in rows)
        if isinstance(rows, list)
        else isinstance(rows, str) and re.match(r"\[\s*\[", rows) is not None
    )
    # Where the rows come first and are long, the names of the columns stand beyond what was read.
    return "data" in keys and listed and (named or (not whole and source.path.name.endswith(".table.json")))


def _top(text: str) -> tuple[dict[str, Any], bool]:
    """The keys of an object with their values, of the last one its start where it is not whole; and whether all is."""
    decoder, found = json.JSONDecoder(), {}
    text = text.removeprefix("\ufeff")
    at = _after(text, 0) + 1  # the brace
    try:
        while True:
            key, at = decoder.raw_decode(text, _after(text, at))
            at = _after(text, _after(text, at) + 1)  # the colon
            found[key] = text[at : at + 64]
            found[key], at = decoder.raw_decode(text, at)
            at = _after(text, at)
            if text[at : at + 1] != ",":  # what follows the object makes it a line among lines
                return ({}, True) if text[at + 1 :].strip() else (found, True)
            at += 1
    except (ValueError, RecursionError, TypeError):
        return found, False


def _after(text: str, at: int) -> int:
    """Where the next character stands that is no space."""
    space = _SPACE.match(text, at)
    return space.end() if space else at


def _open(source: Source, _size: int) -> Iterator[Records]:
    with source.open() as raw:
        data = read_whole(source, unpacked(raw))
    table = parse(data)
    if isinstance(table, Bad):
        raise InputError(f"{source.name}: {table.reason}. Get the whole table.")
    columns, rows = table.get("columns"), table.get("data")
    if not isinstance(columns, list) or not isinstance(rows, list):
        raise InputError(f"{source.name}: columns and data are no lists. Write the rows as JSON lines.")
    names = [str(name) for name in columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"{source.name}: two columns are called {twice}. Rename one of them in columns.")
    whole = (row for row in rows if isinstance(row, list) and len(row) == len(names))
    numbers = {place for row in whole for place, cell in enumerate(row) if type(cell) is float}
    found = (_record(number, row, names, numbers) for number, row in enumerate(rows, 1))
    yield Records(found, len(data), source.size)


def _record(number: int, row: Any, names: list[str], numbers: Collection[int]) -> Record:
    """A row under the names of its columns; `numbers` are the places of columns in which numbers stand."""
    if not isinstance(row, list):
        return Record(number, Bad("", "a row of the table is no list"), row)
    if len(row) != len(names):
        return Record(number, Bad("", f"{len(row)} cells under {len(names)} columns"), row)
    cells = dict(zip(names, row, strict=True))
    for place in numbers:
        if isinstance(row[place], str) and row[place] in _NOT_FINITE:
            cells[names[place]] = None
    return Record(number, cells, row)


CONTAINER = Container("table_json", _claims, _open)
