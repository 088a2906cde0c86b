"""Bytes of a file in chunks that end with a line, prefetched in a thread; packed files are unpacked on the way."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .bounds import longest_line
from .prefetch import prefetch
from .unpacking import CUT_SHORT, unpacked

CHUNK = 16 << 20  # bytes: long enough for polars to use its threads, short enough for many to fit in memory
FIRST = 4 << 20  # bytes of the first chunk: whoever waits for the rows begins early
ROWS = 1 << 16  # lines of a chunk where they are short: as rows they take many times their bytes
TEXT = 2 << 20  # the same for a log without ids: to cut its text into units takes longer than to read it
BLANK = 1 << 30  # bytes of blank lines without a row between them, behind which nothing is looked for
COUNTED = 1 << 18  # bytes whose newlines are counted at a time
START = 1 << 10  # bytes that are kept of a longer one, for the list of rejected rows
_NEWLINE = np.uint8(ord("\n"))
TOO_LONG = "the line is longer than {} MB"


class Chunk(NamedTuple):
    """Whole lines of a file.

    Attributes:
        data: The bytes, newlines included.
        done: Bytes of the file on disk that were consumed so far.
        fault: What is wrong with the last line: cut off there, or too long and only its start. Else None.
    """

    data: bytes
    done: int
    fault: str | None = None


def chunks(open_file: Callable[[], BinaryIO], size: int | None = None, memory: int | None = None) -> Iterator[Chunk]:
    """Cut a file into chunks of whole lines; a longer line is a chunk of its own.

    Args:
        open_file: Opens the file; packed when its first bytes say so.
        size: Bytes to read at a time, unpacked; None is `CHUNK`.
        memory: As `bounds.longest_line` takes it.

    Yields:
        Chunks in file order. The last one may lack its newline.
    """
    with open_file() as raw:
        yield from prefetch(_whole_lines(raw, unpacked(raw), size or CHUNK, longest_line(memory)))


def lines_of(data: bytes) -> int:
    """Number of lines; the last one may lack its newline."""
    # numpy looks at 64 bytes with one instruction, `bytes.count` at one; in blocks that stay in the cache.
    every = np.frombuffer(data, np.uint8)
    newlines = (np.count_nonzero(every[at : at + COUNTED] == _NEWLINE) for at in range(0, len(data), COUNTED))
    return int(sum(newlines)) + (data[-1:] not in (b"\n", b""))


def _whole_lines(raw: BinaryIO, file: Any, size: int, longest: int) -> Iterator[Chunk]:
    """The chunks of `file`, which unpacks `raw`, of about `size` bytes or `ROWS` lines, none longer than `longest`."""
    buffer = bytearray(size if isinstance(file, io.BufferedReader) else 0)
    blank = 0  # bytes of blank lines, without a row between them
    rest: list[bytes | bytearray] = []  # what is kept of a line that is not whole yet
    length, fault = 0, None
    wanted = min(size, FIRST)
    while fault is None:
        data, fault = (_refill(buffer, wanted, file), None) if buffer else read_up_to(file, wanted)
        if not data:
            break
        blank = blank + len(data) if data.isspace() else 0
        if blank > BLANK:
            yield Chunk(b"", raw.tell(), f"more than {BLANK >> 20:,} MB of blank lines: what follows is not read")
            return
        # Up to the last newline goes out with what was kept before; the rest is kept for the next round.
        if cut := data.rfind(b"\n") + 1:
            first = data.find(b"\n") + 1
            if length + first > longest:  # the line that ends here was too long: its start alone, as a chunk of its own
                yield Chunk(b"".join(rest)[:START] + b"\n", raw.tell(), TOO_LONG.format(longest >> 20))
                rest, data, cut = [], data[first:], cut - first
            if cut:
                whole = b"".join([*rest, memoryview(data)[:cut]])
                # The next lines will be about as long as these.
                wanted = min(size, max(FIRST, ROWS * len(whole) // lines_of(whole)))
                yield Chunk(whole, raw.tell())
            rest, length = [], 0
        rest += [data[cut:]] if cut < len(data) else []
        length += len(data) - cut
        if length > longest:  # memory must not grow with a line that will not be read
            rest = [b"".join(rest)[:START]]
    if length > longest:
        fault = fault or TOO_LONG.format(longest >> 20)
    if length or fault:
        yield Chunk(b"".join(rest), raw.tell(), fault)


def _refill(buffer: bytearray, wanted: int, file: io.BufferedReader) -> bytearray:
    """Read into memory that is there already: fresh pages take longer than the reading itself."""
    read = file.readinto(memoryview(buffer)[:wanted])
    return buffer if read == len(buffer) else buffer[:read]


def read_up_to(file: Any, size: int) -> tuple[bytes, str | None]:
    """Up to `size` bytes of an `unpacked` file, and what stopped the reading, if not the end."""
    if isinstance(file, io.BufferedReader):
        return file.read(size), None
    # A little at a time, so that what stands before a fault is kept.
    blocks, missing, read = [], size, getattr(file, "read1", file.read)
    try:
        while missing and (block := read(min(missing, 1 << 20))):
            blocks.append(block)
            missing -= len(block)
    except EOFError:
        return b"".join(blocks), CUT_SHORT
    except (OSError, zlib.error) as error:
        return b"".join(blocks), f"the compressed file is damaged ({error})"
    return b"".join(blocks), None
