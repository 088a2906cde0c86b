"""How far workers are, for whoever shows it."""

from __future__ import annotations

from ..logs.options import ReadOptions


class Progress:
    """Bytes of the rounds over a log: those of the log, and as many again for each further one.

    Args:
        reading: Says who is told.
        size: Bytes of the log.
        rounds: How often it is gone through.
    """

    def __init__(self, reading: ReadOptions, size: int, rounds: int) -> None:
        self._report, self._size, self._all, self._rows = reading.progress, size, rounds * size, 0
        self._done, self._scale = 0.0, 1.0

    def begin_second(self, size: int) -> None:
        """From now on what is added is of another size in all."""
        self._done, self._scale = float(self._size), self._size / max(size, 1)

    def add(self, size: int, rows: int = 0) -> None:
        """So much more is done."""
        self._done += size * self._scale
        self._rows += rows
        if self._report:
            self._report(min(round(self._done), self._all), self._all, self._rows)
