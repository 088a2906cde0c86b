"""A JSON file: the items of its array are the records, or the one object that it is."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO

import orjson

from ...errors import InputError
from ..bounds import largest_value
from ..chunks import read_up_to
from ..rows.records import Record, parse
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from ..unpacking import unpacked
from .container import Container, Records
from .json_items import items
from .whole_file import read_whole

WHOLE = 16 << 20  # bytes up to which an array is read at once; the items of a longer one come one after the other
_MARK = b"\xef\xbb\xbf"  # of UTF-8


def _claims(source: Source, start: bytes) -> bool:
    """An array, or an object that goes on over lines; one of a single line is a file only if its name says so."""
    promised = kind_by_name(source.path)
    text = start.removeprefix(_MARK).lstrip()
    if text[:1] not in (b"{", b"[") or promised == "jsonl":
        return False
    # An object that ends with its line is a row; one that goes on over lines is a JSON file printed with indents. A
    # .json of one line may be either, and is taken as a file.
    first, _, rest = text.partition(b"\n")
    try:
        whole = text[:1] == b"{" and isinstance(orjson.loads(first), dict)
    except ValueError:
        whole = False
    if text[:1] == b"{" and whole and (rest.strip() or promised != "json"):
        return False
    return text[:1] == b"[" or promised == "json" or not whole


def _open(source: Source, size: int) -> Iterator[Records]:
    with source.open() as raw:
        file = unpacked(raw)
        start, fault = read_up_to(file, WHOLE)
        if len(start) == WHOLE and not fault and start.removeprefix(_MARK).lstrip()[:1] == b"[":
            yield from _item_by_item(source, start, raw, file, size)
        else:
            yield _whole(source, start if not fault else b"", fault, file)


def _whole(source: Source, start: bytes, fault: str | None, file: Any) -> Records:
    if fault:
        raise InputError(f"{source.name}: {fault}. Get the whole file.")
    value = parse(read_whole(source, file, start))
    if isinstance(value, Bad):
        raise InputError(f"{source.name}: {value.reason}. A log is one JSON array, or one JSON object per line.")
    if not isinstance(value, list | dict):
        raise InputError(
            f"{source.name}: the file holds one {type(value).__name__}, not rows. Give an array of objects."
        )
    values = value if isinstance(value, list) else [value]
    found = (Record(number, one, one) for number, one in enumerate(values, 1))
    return Records(found, source.size, source.size)


def _item_by_item(source: Source, start: bytes, raw: BinaryIO, file: Any, size: int) -> Iterator[Records]:
    """Items of a long array, about `size` bytes of them at a time."""
    rest = io.BytesIO(start)

    def read(wanted: int) -> bytes:
        data, fault = rest.read(wanted), None
        if not data:
            data, fault = read_up_to(file, wanted)
        if fault:
            raise InputError(f"{source.name}: {fault}. Get the whole file.")
        return data

    number, taken = 1, 0
    found: list[Record] = []
    try:
        for value, length in items(read, largest_value(source.memory)):
            found.append(Record(number, value, value))
            number, taken = number + 1, taken + length
            if taken >= size:
                yield Records(found, taken, raw.tell())
                found, taken = [], 0
    except (ValueError, RecursionError) as error:
        why = "nested too deeply" if isinstance(error, RecursionError) else error
        raise InputError(
            f"{source.name}: item {number:,} of its array: not JSON that can be read ({why}). Get the whole file, or"
            " write its rows as JSON lines."
        ) from None
    yield Records(found, taken, source.size)


CONTAINER = Container("json", _claims, _open)
