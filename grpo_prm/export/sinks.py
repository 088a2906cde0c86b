"""Files that grow slice by slice, in memory that does not grow: lines, or parts of a parquet file."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from ..scratch import scratch

Rows = Sequence[dict[str, Any]] | pl.DataFrame
GROUP = 1024  # completions in a row group of parquet: a reader holds one at a time


@contextmanager
def sink(part: Path, suffix: str) -> Generator[Callable[[Rows], None]]:
    """Give a function that appends rows to the file `part`; the file is whole when the context is left."""
    if suffix == ".parquet":
        with _parquet(part) as add:
            yield add
        return
    with part.open("wb") as file:

        def add_lines(rows: Rows) -> None:
            assert not isinstance(rows, pl.DataFrame)
            file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

        yield add_lines


@contextmanager
def _parquet(part: Path) -> Generator[Callable[[Rows], None]]:
    """Parts beside the file, which one pass puts together."""
    with scratch(part) as folder:
        files: list[Path] = []  # polars cannot append to a parquet file, and all rows at once may not fit in memory

        def add_table(rows: Rows) -> None:
            if len(rows):
                assert isinstance(rows, pl.DataFrame)
                files.append(Path(folder, f"{len(files):06d}.parquet"))
                rows.write_parquet(files[-1], compression="zstd", row_group_size=GROUP)

        yield add_table
        if files:
            pl.scan_parquet(files).sink_parquet(part, compression="zstd", row_group_size=GROUP)
