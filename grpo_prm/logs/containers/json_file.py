"""A JSON file: the items of its array are the records, or the one object that it is."""

from __future__ import annotations

from collections.abc import Iterator

import orjson

from ...errors import InputError
from ..chunks import read_all
from ..rows.records import Record, parse
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from .container import Container, Records


def _claims(source: Source, start: bytes) -> bool:
    """An array, or an object that goes on over lines; one of a single line is a file only if its name says so."""
    promised = kind_by_name(source.path)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()  # a byte order mark
    if text[:1] not in (b"{", b"[") or promised == "jsonl":
        return False
    # An object that ends with its line is a row; one that goes on over lines is a JSON file printed with indents. A
    # .json of one line may be either, and is taken as a file.
    first, _, rest = text.partition(b"\n")
    try:
        whole = isinstance(orjson.loads(first), dict)
    except ValueError:
        whole = False
    if text[:1] == b"{" and whole and (rest.strip() or promised != "json"):
        return False
    return text[:1] == b"[" or promised == "json" or not whole


def _open(source: Source, _size: int) -> Iterator[Records]:
    data, fault = read_all(source.open)
    if fault:
        raise InputError(f"{source.name}: {fault}. Get the whole file.")
    value = parse(data)
    if isinstance(value, Bad):
        raise InputError(f"{source.name}: {value.reason}. A log is one JSON array, or one JSON object per line.")
    if not isinstance(value, list | dict):
        raise InputError(
            f"{source.name}: the file holds one {type(value).__name__}, not rows. Give an array of objects."
        )
    values = value if isinstance(value, list) else [value]
    found = (Record(number, one, one) for number, one in enumerate(values, 1))
    yield Records(found, source.size, source.size)


CONTAINER = Container("json", _claims, _open)
