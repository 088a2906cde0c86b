"""Logs that come through a pipe: standard input, `<(zcat log.gz)`, named pipes; opened again without a copy on disk."""

from __future__ import annotations

import io
import os
import re
import signal
import stat
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO, TextIO
from weakref import finalize

from ..errors import InputError

KEPT = 256 << 20  # bytes that are kept, so that a log that is not longer can be read as often as is asked for
WHOLE = 2 << 30  # bytes of a file that is read from its end, and so must be in memory whole
FROM_THE_END = {b"PAR1": "parquet", b"PK\x03\x04": "zip", b"ARRO": "Arrow"}  # by the first four bytes
_START = 16  # bytes that are there when a pipe was opened, for whoever peeks
_BUFFER = 8 << 10  # bytes; the default differs between versions of Python
_BLOCK = 16 << 20


class Pipe:
    """Bytes that come once. What came is kept up to `KEPT`; a file behind `<` is not kept, as it can be read again.

    Attributes:
        name: What messages call it.
        size: Bytes that will come; None where that is not known.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        self.name, self.size, self._file, self._lock = name, None, file, Lock()
        self._kept: bytearray | None = bytearray()  # all that came so far; None when it was too much
        self._came = 0
        self._whole: bytes | None = None
        self._handle, self._first = None, 0  # of a file that can be read anywhere
        self._next: Callable[[Any], int | None] = getattr(file, "readinto1", None) or file.readinto  # ty: ignore[missing-attribute]
        try:
            handle = file.fileno()
        except (OSError, ValueError):  # not of the operating system: in a test, in a notebook
            return
        if hasattr(os, "preadv") and stat.S_ISREG(os.fstat(handle).st_mode):
            self._handle, self._first = handle, os.lseek(handle, 0, os.SEEK_CUR)
            self.size = os.fstat(handle).st_size - self._first
            return
        if hasattr(os, "set_blocking"):
            os.set_blocking(handle, True)  # whoever had it before may have wished not to wait
        # Unbuffered: a thread that waits in a buffer's lock when the process ends makes it abort.
        self._next = io.FileIO(handle, closefd=False).readinto

    def open(self) -> BinaryIO:
        """Open it from the top; waits for the first bytes.

        Returns:
            A buffered reader, which has `peek` and `tell`; of a parquet, zip or Arrow file one in memory, with `seek`.

        Raises:
            InputError: Nothing comes; more than `KEPT` bytes went by already; more than `WHOLE` bytes of a file that
                is read from its end.
        """
        if self._whole is not None:
            return io.BytesIO(self._whole)
        start = io.BufferedReader(_Reader(self), _BUFFER).read(_START)
        if not start:
            raise InputError(f"{self.name}: nothing came through the pipe. See whether what writes to it failed.")
        if kind := FROM_THE_END.get(start[:4]):
            self._whole, self._kept = self._all(kind), bytearray()
            return io.BytesIO(self._whole)
        return io.BufferedReader(_Reader(self), _BUFFER)

    def read_into(self, buffer: Any, at: int) -> int:
        """Put bytes from `at` on into `buffer`, at least one unless they end there, and say how many."""
        if self._handle is not None:
            return os.preadv(self._handle, [buffer], self._first + at)
        with self._lock:  # a thread that reads ahead for an earlier reader may still be waiting here
            if at < self._came and self._kept is None:
                raise InputError(
                    f"{self.name}: more than {KEPT >> 20} MB came through the pipe, and the log must be read again from"
                    " its top, as its steps come back. Save it to a file first, and name that file."
                )
            if at < self._came and self._kept is not None:
                size = min(len(buffer), self._came - at)
                buffer[:size] = self._kept[at : at + size]
                return size
            size = self._next(buffer) or 0
            self._came += size
            if self._kept is not None and self._came <= KEPT:
                self._kept += buffer[:size]
            else:
                self._kept = None
            return size

    def _all(self, kind: str) -> bytes:
        blocks, reader, size = [], io.BufferedReader(_Reader(self), _BUFFER), 0
        while block := reader.read(_BLOCK):
            blocks.append(block)
            size += len(block)
            if size > WHOLE:
                raise InputError(
                    f"{self.name}: more than {WHOLE >> 30} GB of a {kind} file came through the pipe, and such a file"
                    " is read from its end. Save it to a file first, and name that file."
                )
        return b"".join(blocks)


class _Reader(io.RawIOBase):
    """One way through a pipe, from its top."""

    def __init__(self, pipe: Pipe) -> None:
        self.name, self._pipe, self._at = pipe.name, pipe, 0

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        size = self._pipe.read_into(buffer, self._at)
        self._at += size
        return size


def is_pipe(path: Path) -> bool:
    """Is it a pipe, a terminal or a socket: something that is read once, and has no size?"""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def pipe_at(path: Path, name: str) -> Pipe:
    """A named pipe, or what the shell makes of `<(...)`; waits until something writes to it.

    Raises:
        InputError: It cannot be opened.
    """
    if found := re.fullmatch(r"/dev/(?:fd/0|stdin)|/proc/self/fd/0", str(path)):
        return standard_input(found[0])
    _let_signals_end_waiting()
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}). Name a file, or a pipe that is open.") from None
    pipe = Pipe(file, name)
    finalize(pipe, file.close)
    return pipe


def standard_input(name: str = "-") -> Pipe:
    """What stands behind `-`; the same each time, as what came is kept in it.

    Raises:
        InputError: Standard input is closed.
    """
    if sys.stdin is None or sys.stdin.closed:
        raise InputError(f"{name}: standard input is closed. Pipe a log into the command, or name a file.")
    _let_signals_end_waiting()
    return _pipe_of(sys.stdin, name)


@cache
def _pipe_of(stdin: TextIO, name: str) -> Pipe:
    return Pipe(stdin.buffer, name)


def _let_signals_end_waiting() -> None:
    """A library has a waiting read go on after Ctrl-C."""
    if hasattr(signal, "siginterrupt"):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.siginterrupt(number, True)
