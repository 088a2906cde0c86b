"""Tables that grow batch by batch without growing in memory: full parts go to a folder as parquet."""

from __future__ import annotations

from pathlib import Path

import polars as pl

PART = 1 << 18  # rows held before they are written


class Spill:
    """A table in parts.

    Args:
        name: Of the table, and of its files.
        folder: Where full parts go; None keeps everything in memory.
    """

    def __init__(self, name: str, folder: Path | None = None) -> None:
        self._name, self._folder = name, folder
        self._held: list[pl.DataFrame] = []
        self._files: list[Path] = []
        self.rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Append rows; columns as in the parts before."""
        if not len(frame):
            return
        self._held.append(frame)
        self.rows += len(frame)
        if self._folder is not None and sum(map(len, self._held)) >= PART:
            path = self._folder / f"{self._name}.{len(self._files):06d}.parquet"
            pl.concat(self._held, how="vertical_relaxed").write_parquet(path)
            self._files.append(path)
            self._held.clear()

    def table(self) -> pl.LazyFrame:
        """All rows in order; an empty frame without columns if none was added."""
        written = [pl.scan_parquet(path) for path in self._files]
        held = [pl.concat(self._held, how="vertical_relaxed").lazy()] if self._held else []
        return pl.concat([*written, *held], how="vertical_relaxed") if written or held else pl.LazyFrame()
