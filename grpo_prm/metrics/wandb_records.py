"""The frames of a W&B run file: records in blocks of 32 KiB, as LevelDB's log has them, each piece with its checksum.

Format: https://github.com/google/leveldb/blob/main/doc/log_format.md, with a header of 7 bytes in front and zlib's
CRC-32 in place of CRC-32C.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError

HEADER = b":W&B\xe1\xbe"  # then a byte of the version
BLOCK = 32768
PIECE = struct.Struct("<IHB")  # checksum of type and data, length of data, type
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


class Damage(NamedTuple):
    """Where a file is cut or damaged: nothing after that byte is read."""

    byte: int


def records(path: Path) -> Iterator[bytes | Damage]:
    """The records of a run file in order, and last where it is cut or damaged, if it is.

    Raises:
        InputError: It cannot be read, or is no run file of W&B.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check who may read it.") from None
    if data[: len(HEADER)] != HEADER:
        raise InputError(f"{path}: no run file of W&B, its first bytes are others. Name run-ID.wandb of a run folder.")
    at, begin, parts = len(HEADER) + 1, len(HEADER) + 1, []
    while at < len(data):
        room = BLOCK - at % BLOCK
        if room < PIECE.size:  # a piece never begins there: zeros fill the block
            at += room
            continue
        piece = _piece(data, at)
        if piece is None or (piece[0] in (FULL, FIRST)) != (not parts):
            yield Damage(begin)
            return
        kind, body = piece
        parts.append(body)
        at += PIECE.size + len(body)
        if kind in (FULL, LAST):
            yield b"".join(parts)
            begin, parts = at, []
    if parts:
        yield Damage(begin)


def _piece(data: bytes, at: int) -> tuple[int, bytes] | None:
    """Type and data of a piece; None where it is cut, or its checksum is wrong."""
    if at + PIECE.size > len(data):
        return None
    checksum, length, kind = PIECE.unpack_from(data, at)
    body = data[at + PIECE.size : at + PIECE.size + length]
    if len(body) < length or zlib.crc32(body, zlib.crc32(bytes([kind]))) != checksum:
        return None
    return (kind, body) if FULL <= kind <= LAST else None
