"""Text in UTF-16, as Windows writes it, as a stream of UTF-8."""

from __future__ import annotations

import codecs
import io
from typing import Any, BinaryIO

MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}  # byte order marks
_BLOCK = 1 << 20


def is_utf16(start: bytes) -> bool:
    """Do the first four bytes of a file say that it is UTF-16? UTF-32 begins with the same mark and zeros."""
    return start[:2] in MARKS and start[2:4] != b"\0\0" and len(start) >= 4


class Utf16(io.RawIOBase):
    """The text of a file in UTF-16 as UTF-8, without its mark; half of a pair becomes a question mark."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self._rest = raw, b""
        self._decoder = codecs.getincrementaldecoder(MARKS[raw.read(2)])("replace")
        self._ended = False

    def readable(self) -> bool:
        """As `io.RawIOBase` has it."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As `io.RawIOBase` has it."""
        while not self._rest and not self._ended:
            block = self._raw.read(_BLOCK)
            self._ended = not block
            self._rest = self._decoder.decode(block, final=self._ended).encode("utf-8", "replace")
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
