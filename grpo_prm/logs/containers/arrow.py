"""Arrow IPC, files and streams: a record a row. Streams are read batch by batch, as they may be long or packed."""

from __future__ import annotations

import io
import itertools
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import BinaryIO, NamedTuple

import polars as pl

from ...errors import InputError
from ..bounds import granted
from ..rows.records import Record
from ..sources import Source
from ..unpacking import unpacked
from .arrow_sizes import BATCH, DICTIONARY, unpacked_size
from .container import Container, Records
from .panics import without_panics

MAGIC = b"ARROW1"
CONTINUES = b"\xff\xff\xff\xff"  # before the length of each message
_END = CONTINUES + b"\0\0\0\0"
_SCHEMA, _DICTIONARY, _BATCH = 1, DICTIONARY, BATCH  # kinds of messages
PART = 4  # of the memory that one batch may take
_BLOCK = 16 << 20  # bytes to read at a time: a length that is wrong must not ask for memory
_FAULTS = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    EOFError,
    OSError,
    LookupError,
    ValueError,
    struct.error,
)
_CUT = "the file is cut short"


class _Message(NamedTuple):
    """One message of a stream: its kind, all of its bytes, and what those that are packed take when they are not."""

    kind: int
    data: bytes
    unpacked: int


def _claims(_source: Source, start: bytes) -> bool:
    return start[:6] == MAGIC or (start[:4] == CONTINUES and 0 < int.from_bytes(start[4:8], "little") < 1 << 28)


def _open(source: Source, size: int) -> Iterator[Records]:
    try:
        with source.open() as raw:
            number, before, kept, held = 1, 0, [], 0
            for frame in itertools.chain(_frames(unpacked(raw), size, granted(source.memory) // PART), (None,)):
                if kept and (frame is None or held >= size):  # a writer may put a single row in each batch
                    yield _records(kept, number, raw.tell() - before, raw.tell())
                    number, before, kept, held = number + sum(map(len, kept)), raw.tell(), [], 0
                if frame is not None:
                    kept.append(frame)
                    held += int(frame.estimated_size())
    except _FAULTS as error:
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise InputError(f"{source.name}: not Arrow that can be read ({why}). Check that it is whole.") from None


def _records(frames: list[pl.DataFrame], first: int, size: int, done: int) -> Records:
    rows = (row for frame in frames for row in frame.iter_rows(named=True))
    return Records((Record(number, row, row) for number, row in enumerate(rows, first)), size, done)


def _frames(file: BinaryIO, size: int, most: int) -> Iterator[pl.DataFrame]:
    """The batches of a stream, each read by polars as a stream of its own; of a file slices, by what its end says.

    Args:
        file: At its start.
        size: Bytes in memory of a slice, about.
        most: Bytes in memory of a batch, or of a file, which is read whole.
    """
    start = _exactly(file, 8)
    if start[:6] == MAGIC:
        data = start + file.read(most)
        _check_fits(sum(_unpacked_sizes(data)) if len(data) < most else most + 1, most)
        with without_panics():
            table = pl.read_ipc(io.BytesIO(data))
        rows = max(64, len(table) * size // max(1, int(table.estimated_size())))
        yield from table.iter_slices(rows)
        return
    schema, dictionaries, held = b"", b"", 0
    for message in _messages(file, start):
        if message.kind == _SCHEMA:
            schema = message.data
            continue
        _check_fits(held + message.unpacked, most)
        if message.kind == _DICTIONARY:  # those that follow belong to later batches, which need the first ones too
            dictionaries += message.data
            held += len(message.data) + message.unpacked
        elif message.kind == _BATCH:
            with without_panics():
                frame = pl.read_ipc_stream(io.BytesIO(schema + dictionaries + message.data + _END))
            yield frame


def _check_fits(size: int, most: int) -> None:
    if size > most:
        raise ValueError(f"more than {most >> 20:,} MB of it must be in memory at once: grant more with --memory")


def _unpacked_sizes(data: bytes) -> Iterator[int]:
    """Sizes of the messages of a file, which stand behind its name as in a stream; as far as they can be told."""
    with suppress(ValueError, struct.error, LookupError):
        file = io.BytesIO(data)
        file.seek(8)
        yield from (message.unpacked for message in _messages(file, file.read(8)))


def _messages(file: BinaryIO, start: bytes) -> Iterator[_Message]:
    # A stream ends with the length 0, or where the file does.
    while start[:4] == CONTINUES and (length := int.from_bytes(start[4:], "little")):
        header = _exactly(file, length)
        kind, body = _kind_and_body(header)
        buffers = _exactly(file, body)
        size = unpacked_size(header, memoryview(buffers)) if kind in (_DICTIONARY, _BATCH) else 0
        yield _Message(kind, start + header + buffers, size)
        if not (start := file.read(8)):
            return
    if start[:4] != CONTINUES:
        raise ValueError("a message does not start where it should")


def _kind_and_body(header: bytes) -> tuple[int, int]:
    """Kind of a message and bytes of its body, from the flatbuffer that describes it (Message.fbs of Arrow)."""
    table = int.from_bytes(header[:4], "little")
    fields = table - struct.unpack_from("<i", header, table)[0]
    size = struct.unpack_from("<H", header, fields)[0]
    # Fields stand in the order of their declaration: version, kind, header, length of the body.
    kind, body = (struct.unpack_from("<H", header, fields + at)[0] if at + 2 <= size else 0 for at in (6, 10))
    length = struct.unpack_from("<q", header, table + body)[0] if body else 0
    if length < 0:
        raise ValueError("a body of negative length")
    return (header[table + kind] if kind else 0), length


def _exactly(file: BinaryIO, size: int) -> bytes:
    blocks = []
    while size:
        block = file.read(min(size, _BLOCK))
        if not block:
            raise ValueError(_CUT)
        blocks.append(block)
        size -= len(block)
    return b"".join(blocks)


CONTAINER = Container("arrow", _claims, _open)
