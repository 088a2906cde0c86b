"""Rows of the row groups of a parquet file, by its footer: polars decodes a group at once, and does not tell its size.

The footer is a struct in Thrift's compact protocol (parquet.thrift: FileMetaData, RowGroup).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO

_TAIL = 8  # bytes behind the footer: its length, and PAR1
_MOST = 64 << 20  # bytes of a footer that is looked at
_GROUPS = 64  # that are looked at: writers make them alike
_ROW_GROUPS, _NUM_ROWS = 4, 3  # numbers of fields
_BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 3, 7, 8, 9, 10, 11, 12  # types; the rest are varints
_BOOLS = (1, 2)  # a field of these has no bytes, an item of a list one


def rows_of_groups(file: BinaryIO) -> list[int]:
    """Rows of each of the first `_GROUPS` row groups.

    Args:
        file: The parquet, which can seek.

    Raises:
        ValueError: It has no footer that can be understood.
    """
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _TAIL))
    tail = file.read(_TAIL)
    length = int.from_bytes(tail[:4], "little")
    if tail[4:] != b"PAR1" or length > min(size - _TAIL, _MOST):
        raise ValueError("no footer")
    file.seek(size - _TAIL - length)
    footer = _Compact(file.read(length))
    try:
        for number, kind in footer.fields():
            if number == _ROW_GROUPS and kind == _LIST:
                return [_rows(footer) for _ in range(min(footer.items()[0], _GROUPS))]
            footer.skip(kind)
    except (IndexError, RecursionError):
        pass
    raise ValueError("no row groups")


def _rows(footer: _Compact) -> int:
    rows = 0
    for number, kind in footer.fields():
        if number == _NUM_ROWS:
            rows = footer.whole()
        else:
            footer.skip(kind)
    return rows


class _Compact:
    """A reader of the compact protocol that skips what nobody asks for."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def whole(self) -> int:
        """A signed number."""
        number = self.varint()
        return (number >> 1) ^ -(number & 1)

    def fields(self) -> Iterator[tuple[int, int]]:
        """Number and type of each field of a struct; its value must be read or skipped before the next."""
        number = 0
        while head := self._data[self._at]:
            self._at += 1
            number = number + (head >> 4) if head >> 4 else self.whole()
            yield number, head & 15
        self._at += 1

    def items(self) -> tuple[int, int]:
        """Length of a list, and the type of its items."""
        head = self._data[self._at]
        self._at += 1
        return (self.varint() if head >> 4 == 15 else head >> 4), head & 15

    def skip(self, kind: int) -> None:
        if kind == _STRUCT:
            for _, inner in self.fields():
                self.skip(inner)
        elif kind in (_LIST, _SET):
            count, inner = self.items()
            for _ in range(count):
                self.skip(_BYTE if inner in _BOOLS else inner)
        elif kind == _BINARY:
            length = self.varint()
            self._at += length
        elif kind in (_BYTE, _DOUBLE):
            self._at += 1 if kind == _BYTE else 8
        elif kind == _MAP:
            raise ValueError("a map, which no footer has")
        elif kind not in _BOOLS:
            self.varint()
