"""Standard input and other pipes, which can be read once, as files that can be opened again from the top."""

from __future__ import annotations

import io
from typing import BinaryIO


class Pipe:
    """What comes through a pipe, kept as it is read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._kept = file, b""
        self._read = False

    def open(self) -> BinaryIO:
        """The bytes from the first one on."""
        if not self._read:
            self._kept, self._read = self._file.read(), True
        return io.BytesIO(self._kept)
