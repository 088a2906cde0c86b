"""A part of a file as a file: of one that grows, what is whole of it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple


class Span(NamedTuple):
    """The bytes of a file from `begin` up to `end`."""

    path: Path
    begin: int
    end: int

    def open(self) -> BinaryIO:
        """The span as a buffered reader, which has `peek` and `tell`.

        Raises:
            OSError: The file cannot be opened.
        """
        return io.BufferedReader(_Reader(self))


class _Reader(io.FileIO):
    """A file that ends early; what it tells are bytes of the span."""

    def __init__(self, span: Span) -> None:
        super().__init__(span.path, "rb")
        self._begin, self._end = span.begin, span.end
        super().seek(span.begin)

    def readinto(self, buffer: Any) -> int | None:
        left = max(0, self._end - super().tell())
        return super().readinto(memoryview(buffer)[:left])

    def readall(self) -> bytes:
        return super().read(max(0, self._end - super().tell()))

    def tell(self) -> int:
        return super().tell() - self._begin

    def seek(self, offset: int, whence: int = 0) -> int:
        base = {0: self._begin, 1: super().tell(), 2: self._end}[whence]
        return super().seek(base + offset) - self._begin
