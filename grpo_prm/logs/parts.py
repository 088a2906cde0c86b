"""Parts of a file that can be read apart: all of it, or a stretch of its lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from .sources import Source
from .unpacking import unpacked


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


def cut(source: Source, index: int, size: int) -> Iterator[Part]:
    """Cut a file of lines into parts of about `size` bytes; one that is packed, in another encoding or short is whole.

    Args:
        source: The file.
        index: Its place among those of the log.
        size: Bytes.
    """
    if source.size <= size or source.pipe:
        yield Part(index)
        return
    with source.open() as raw:
        if unpacked(raw) is not raw:
            yield Part(index)
            return
        raw.seek(0)
        begin, line = 0, 1
        while data := raw.read(size):
            data += raw.readline()
            yield Part(index, begin, len(data), line)
            begin, line = begin + len(data), line + data.count(b"\n")
