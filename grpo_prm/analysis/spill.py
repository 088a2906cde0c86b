"""Tables that grow batch by batch without growing in memory: full parts go to a folder as parquet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import polars as pl

How = Literal["vertical_relaxed", "diagonal_relaxed"]
PART = 1 << 18  # rows held before they are written
PART_BYTES = 1 << 24  # or so many bytes: rows of the groups table are wide, and have prompts
ROW_GROUP = 1 << 16  # rows that are read at a time


class Spill:
    """A table in parts.

    Args:
        name: Of the table, and of its files.
        folder: Where full parts go; None keeps everything in memory.
        how: `diagonal_relaxed` where frames may lack columns of others, which are null there.
    """

    def __init__(self, name: str, folder: Path | None = None, how: How = "vertical_relaxed") -> None:
        self._name, self._folder, self._how = name, folder, how
        self._held: list[pl.DataFrame] = []
        self._files: list[Path] = []
        self.rows = 0

    def add(self, frame: pl.DataFrame) -> None:
        """Append rows; columns as in the parts before."""
        if not len(frame):
            return
        self._held.append(frame)
        self.rows += len(frame)
        if self._folder is not None and self._full():
            path = self._folder / f"{self._name}.{len(self._files):06d}.parquet"
            # Packed fast: it is read once, and written anew.
            part = pl.concat(self._held, how=self._how)
            part.write_parquet(path, compression="lz4", row_group_size=ROW_GROUP)
            self._files.append(path)
            self._held.clear()

    def _full(self) -> bool:
        rows, size = sum(map(len, self._held)), sum(frame.estimated_size() for frame in self._held)
        return rows >= PART or size >= PART_BYTES

    def parts(self) -> list[pl.LazyFrame | pl.DataFrame]:
        """All rows in order, part by part, the last one in memory; none where none was added."""
        written = [pl.scan_parquet(path) for path in self._files]
        held = [pl.concat(self._held, how=self._how)] if self._held else []
        return [*written, *held]

    def table_of(self, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        """The same; an empty frame has the columns of a schema, too."""
        return pl.concat([pl.LazyFrame(schema=schema), self.table()], how="diagonal")

    def table(self) -> pl.LazyFrame:
        """All rows in order; an empty frame without columns if none was added."""
        parts = [part.lazy() for part in self.parts()]
        return pl.concat(parts, how=self._how) if parts else pl.LazyFrame()
