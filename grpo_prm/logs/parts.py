"""Parts of a file that can be read apart: all of it, or a stretch of its lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .sources import Source
from .unpacking import unpacked

_BLOCK = 1 << 20  # bytes whose lines are counted at a time


class Part(NamedTuple):
    """A file of a log, or whole lines of it.

    Attributes:
        source: Place of the file among those of the log.
        begin: First byte.
        size: Bytes; None: the whole file.
        line: Number of its first line.
    """

    source: int
    begin: int = 0
    size: int | None = None
    line: int = 1


def can_be_cut(source: Source) -> bool:
    """Is it a file of plain lines, not packed and in no other encoding?"""
    if source.pipe:
        return False
    with source.open() as raw:
        return unpacked(raw) is raw


def cut(source: Source, index: int, size: int) -> Iterator[Part]:
    """Cut a file of lines into parts of about `size` bytes; one that is packed, in another encoding or short is whole.

    Args:
        source: The file.
        index: Its place among those of the log.
        size: Bytes.
    """
    if source.size <= size or not can_be_cut(source):
        yield Part(index)
    else:
        yield from lines_from(source, Part(index), size)


def lines_from(source: Source, part: Part, size: int) -> Iterator[Part]:
    """Cut a file of plain lines from the first line of `part` on into parts of about `size` bytes."""
    buffer = bytearray(min(size, _BLOCK))  # filled again and again: fresh memory takes longer than the reading
    with source.open() as raw:
        raw.seek(part.begin)
        begin, line = part.begin, part.line
        while True:
            read = lines = 0
            while read < size and (got := raw.readinto(memoryview(buffer)[: size - read])):  # ty: ignore[missing-attribute]
                read += got
                lines += int(np.count_nonzero(np.frombuffer(buffer, np.uint8, got) == ord("\n")))
            if not read:
                return
            rest = raw.readline()
            read, lines = read + len(rest), lines + rest.endswith(b"\n")
            yield Part(part.source, begin, read, line)
            begin, line = begin + read, line + lines
