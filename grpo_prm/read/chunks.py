"""Bytes of a file in chunks that end with a line, read ahead in a thread; .gz and .zst unpacked on the way."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

CHUNK = 16 << 20  # bytes: long enough for polars to use its threads, short enough for many to fit in memory
CUT_SHORT = "the compressed file is cut short"


class Chunk(NamedTuple):
    """Whole lines of a file.

    Attributes:
        data: The bytes, newlines included.
        line: Number of the first line, from 1.
        lines: Number of lines.
        done: Bytes of the file on disk that were consumed so far.
        fault: Why the file could not be read further than this, else None.
    """

    data: bytes
    line: int
    lines: int
    done: int
    fault: str | None = None


def chunks(path: Path, size: int | None = None) -> Iterator[Chunk]:
    """Cut a file into chunks of whole lines; a longer line is a chunk of its own.

    Args:
        path: The file; packed when its first bytes say so.
        size: Bytes to read at a time, unpacked; None is `CHUNK`.

    Yields:
        Chunks in file order. The last one may lack its newline.
    """
    with ThreadPoolExecutor(1) as ahead, path.open("rb") as raw:
        pieces = _pieces(raw, unpacked(raw), size or CHUNK)
        waiting = ahead.submit(next, pieces, None)
        line = 1
        while (piece := waiting.result()) is not None:
            waiting = ahead.submit(next, pieces, None)
            lines = count(piece[0], b"\n") + (not piece[0].endswith(b"\n") and bool(piece[0]))
            yield Chunk(piece[0], line, lines, *piece[1:])
            line += lines


def count(data: bytes, character: bytes) -> int:
    """How often one character stands in `data`."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == character[0]))


def unpacked(raw: BinaryIO) -> BinaryIO:
    """The file itself, or what its .gz or .zst holds (several members and frames too)."""
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw)
    if magic == b"\x28\xb5\x2f\xfd":
        import zstandard

        return zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
    return raw


def _pieces(raw: BinaryIO, file: BinaryIO, size: int) -> Iterator[tuple[bytes, int, str | None]]:
    """Pieces that end with a newline, where the file on disk stands, and what stopped the reading."""
    rest: list[bytes] = []  # the parts of a line that is not whole yet
    fault = None
    while fault is None:
        data, fault = _read(file, size)
        if not data:
            break
        cut = data.rfind(b"\n") + 1
        if cut:
            yield b"".join([*rest, data[:cut]]), raw.tell(), None
            rest = []
        rest.append(data[cut:])
    if (last := b"".join(rest)) or fault:
        yield last, raw.tell(), fault


def _read(file: BinaryIO, size: int) -> tuple[bytes, str | None]:
    """Up to `size` bytes, small reads put together; what came before a fault is kept."""
    if isinstance(file, io.BufferedReader):
        return file.read(size), None
    parts, missing = [], size
    try:
        while missing and (part := file.read(min(missing, 1 << 20))):
            parts.append(part)
            missing -= len(part)
    except EOFError:
        return b"".join(parts), CUT_SHORT
    except (OSError, zlib.error) as error:
        return b"".join(parts), f"the compressed file is damaged ({error})"
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        return b"".join(parts), f"the compressed file is damaged ({error})"
    return b"".join(parts), None
