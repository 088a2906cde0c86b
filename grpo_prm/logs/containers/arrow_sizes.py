"""What the packed buffers of an Arrow message take when they are unpacked, by the flatbuffer that describes them.

A record batch of a kilobyte may ask polars for gigabytes (Message.fbs of Arrow: Message, DictionaryBatch, RecordBatch).
"""

from __future__ import annotations

import struct

DICTIONARY, BATCH = 2, 3  # kinds of messages
_KIND, _HEADER, _BATCH_OF_DICTIONARY, _BUFFERS, _COMPRESSION = 1, 2, 1, 2, 3  # numbers of fields in their tables


def unpacked_size(header: bytes, body: memoryview) -> int:
    """Bytes of the buffers of a message.

    Args:
        header: The flatbuffer.
        body: The buffers, each packed one with its length before it (int64, -1 where it is not packed after all).

    Raises:
        struct.error, IndexError: It is damaged.
    """
    message = _number(header, 0)
    kind = _field(header, message, _KIND)
    if kind is None or header[kind] not in (DICTIONARY, BATCH):
        return 0
    batch = _inner(header, message, _HEADER)
    if header[kind] == DICTIONARY:
        batch = _inner(header, batch, _BATCH_OF_DICTIONARY)
    if _field(header, batch, _COMPRESSION) is None:
        return 0  # as large as they are in the file
    buffers, size = _inner(header, batch, _BUFFERS), 0
    for number in range(_number(header, buffers)):
        at, length = struct.unpack_from("<qq", header, buffers + 4 + 16 * number)
        size += max(length, struct.unpack_from("<q", body, at)[0]) if length >= 8 else 0
    return size


def _number(data: bytes, at: int) -> int:
    return struct.unpack_from("<I", data, at)[0]


def _inner(data: bytes, table: int, number: int) -> int:
    """Where the table or vector begins to which a field of a table points."""
    at = _field(data, table, number)
    if at is None:
        raise IndexError("a field is missing")
    return at + _number(data, at)


def _field(data: bytes, table: int, number: int) -> int | None:
    """Where a field of a table stands; None where it is left out."""
    fields = table - struct.unpack_from("<i", data, table)[0]
    place = 4 + 2 * number
    if place + 2 > struct.unpack_from("<H", data, fields)[0]:
        return None
    here = struct.unpack_from("<H", data, fields + place)[0]
    return table + here if here else None
