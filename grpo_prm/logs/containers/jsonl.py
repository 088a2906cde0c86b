"""JSON lines: a record a line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..chunks import Chunk, chunks, lines_of
from ..rows.records import Record, parse, parse_lines
from ..rows.values import Bad
from ..sources import Source
from .container import Container, Records


def records(source: Source, size: int, parsed: Callable[[bytes], Any] = parse) -> Iterator[Records]:
    """The lines of a file.

    Args:
        source: The file.
        size: Bytes to read at a time.
        parsed: A line to a value, or the `Bad` that it is.
    """
    for chunk, line in numbered(source, size):
        found = parse_lines(chunk.data, line, parsed)
        yield Records(with_fault(list(found), line, chunk.fault) if chunk.fault else found, len(chunk.data), chunk.done)


def numbered(source: Source, size: int) -> Iterator[tuple[Chunk, int]]:
    """The chunks of a file, and the number of the first line of each."""
    line = 1
    for chunk in chunks(source.open, size, source.memory):
        yield chunk, line
        line += lines_of(chunk.data)


def with_fault(found: list[Record], line: int, fault: str) -> list[Record]:
    """Give a last row that is torn the file's fault as its reason: it is cut off there, or the line is too long."""
    if found and isinstance(found[-1].value, Bad):
        return [*found[:-1], found[-1]._replace(value=Bad("", fault))]
    return [*found, Record(found[-1].line + 1 if found else line, Bad("", fault), "")]


CONTAINER = Container("jsonl", lambda _source, _start: True, records)
