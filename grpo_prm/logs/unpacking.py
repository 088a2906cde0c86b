"""What a packed file holds, as a stream: .gz, .zst, .bz2 and .xz, told by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable
from typing import Any, BinaryIO

from ..errors import InputError
from .utf16 import Utf16, is_utf16

CUT_SHORT = "the compressed file is cut short"
GZIP, ZSTD, BZIP, XZ = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"
# Packings that are not read, by their first bytes: what they are called, and how they are unpacked.
OTHERS = {
    b"\x04\x22\x4d\x18": ("lz4", "lz4 -d"),
    b"7z\xbc\xaf\x27\x1c": ("7z", "7z x"),
    b"Rar!\x1a\x07": ("rar", "unrar x"),
    b"\x1f\x9d": ("compress", "uncompress"),
    b"LZIP": ("lzip", "lzip -d"),
    b"\xff\x06\x00\x00sN": ("snappy", "snzip -d"),
}
# Packings that are read, by their first bytes: the command that unpacks them.
COMMANDS = {GZIP: "gzip -d", ZSTD: "zstd -d", BZIP: "bzip2 -d", XZ: "xz -d"}
_START = 6  # bytes by which a packing is told
_PACKED = 4 << 10  # bytes that are unpacked at a time: a .zst may hold thirty thousand times as many
_UNPACKED = 1 << 20  # bytes that come out at a time, where the library lets us say so
_MEMORY = 1 << 30  # bytes that an .xz may ask for


def unpacks(start: bytes) -> str | None:
    """The command that unpacks a file with such first bytes; None of one that is not packed, or not read packed."""
    if start.startswith(BZIP) and not start[3:4].isdigit():
        return None
    return next((command for magic, command in COMMANDS.items() if start.startswith(magic)), None)


def packing(start: bytes) -> str | None:
    """What packs a file that begins so; None for plain bytes. UTF-16 counts as a packing, as it is read as UTF-8."""
    if command := unpacks(start):
        return command.partition(" ")[0]
    named = next((name for magic, (name, _) in OTHERS.items() if start.startswith(magic)), None)
    return named or ("UTF-16" if is_utf16(start) else None)


def unpacked(raw: BinaryIO) -> Any:
    """The file itself, UTF-16 as UTF-8; or what its packing holds, several members and frames too.

    Args:
        raw: A file at its start that has `peek`, or can seek.

    Returns:
        A file to read from, once. Reading raises EOFError where it is cut short, OSError where it is damaged.

    Raises:
        InputError: A packing that is not read.
    """
    start = _peek(raw)
    if start.startswith(GZIP):
        return gzip.GzipFile(fileobj=raw)
    if start.startswith(ZSTD):
        import zstandard

        return _Frames(raw, lambda: zstandard.ZstdDecompressor().decompressobj(), zstandard.ZstdError)
    if start.startswith(BZIP) and start[3:4].isdigit():
        return _Frames(raw, bz2.BZ2Decompressor, OSError, _UNPACKED)
    if start.startswith(XZ):
        return _Frames(raw, lambda: lzma.LZMADecompressor(memlimit=_MEMORY), lzma.LZMAError, _UNPACKED)
    for magic, (packing, command) in OTHERS.items():
        if start.startswith(magic):
            name = getattr(raw, "name", "the log")
            raise InputError(f"{name}: packed with {packing}, which is not read. Unpack it first, with {command}.")
    return Utf16(raw) if is_utf16(start) else raw


def _peek(raw: Any) -> bytes:
    if hasattr(raw, "peek"):
        return raw.peek(_START)[:_START]
    start = raw.read(_START)
    raw.seek(0)
    return start


class _Frames(io.RawIOBase):
    """What the frames of a file hold, one after the other.

    The readers of `zstandard` and `bz2` do not tell a file that is cut short, or damaged behind a frame, from one that
    ends.
    """

    def __init__(self, raw: BinaryIO, new: Callable[[], Any], fault: type[Exception], most: int | None = None) -> None:
        self._raw, self._new, self._fault = raw, new, fault
        self._most = () if most is None else (most,)
        self._frame: Any = None
        self._rest: bytes | memoryview = b""
        self._broken: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """As much as there is room for: little comes out at a time, as little is unpacked at a time."""
        view, filled = memoryview(buffer), 0
        while filled < len(view):
            try:
                if not self._rest and not self._unpack():
                    break
            except (OSError, EOFError):
                if filled:  # it is raised again when nothing stands before it any more
                    break
                raise
            size = min(len(view) - filled, len(self._rest))
            view[filled : filled + size], self._rest = self._rest[:size], self._rest[size:]
            filled += size
        return filled

    def _unpack(self) -> bool:
        """Have the next bytes ready; False at the end."""
        if self._broken:
            raise self._broken
        try:
            while not self._rest:
                if (packed := self._packed()) is None:
                    return False
                self._rest = memoryview(self._frame.decompress(packed, *self._most))
        except EOFError as error:
            self._broken = error
            raise
        except self._fault as error:
            self._broken = OSError(str(error))
            raise self._broken from None
        return True

    def _packed(self) -> bytes | None:
        """The next bytes for the frame, a new one where the last has ended; None at the end of the file."""
        if self._frame is not None and not self._frame.eof:
            if not getattr(self._frame, "needs_input", True):
                return b""
            packed = self._raw.read(_PACKED)
            if not packed:
                raise EOFError(CUT_SHORT)
            return packed
        packed = self._frame.unused_data if self._frame else b""
        # Between the streams of an .xz zeros may stand.
        while not (packed := packed.lstrip(b"\0") if self._frame else packed):
            packed = self._raw.read(_PACKED)
            if not packed:
                return None
        self._frame = self._new()
        return packed
