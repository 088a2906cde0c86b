"""Rows of a log in any order, sorted on disk: sorted chunks first, then one range of the whole order after another.

Memory follows the chunks, the ranges and the largest step, not the log. Rows are in canonical order: by run, step (null
first), file and line.

A chunk is an Arrow IPC file, uncompressed: of the formats that were measured (docs/benchmarks.md) the fastest to write,
and to read a few rows of. Whoever gives the folder removes it.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import polars as pl

from .disk_ranges import BYTES, FILE, FIRST, ROWS, Range

_BATCH = 512 << 10  # bytes of the record batches, the least that is read of a chunk
_OPEN = 64  # chunks that are open together


def write_sorted(rows: pl.DataFrame, path: Path) -> pl.DataFrame:
    """Sort one chunk of a log and write it.

    Args:
        rows: Columns of `records.row_schema`, in any order; rows of one line of the log are in one chunk.
        path: File to write.

    Returns:
        Its index, a row for each (run, step): `run`, `step` (if the rows have it), `_chunk` (path), `_first` (row in
        the chunk, int64), `_rows` (int64), `_bytes` (int64, about what they take in memory).

    Raises:
        OSError: It cannot be written.
    """
    rows = in_canonical_order(rows)
    sizes = rows.select(_bytes_of_row(rows.schema).alias(BYTES))
    mean = max(1, int(sizes[BYTES].sum()) // max(1, len(rows)))
    rows.write_ipc(path, record_batch_size=max(1, _BATCH // mean))
    return _apart(_index(rows, sizes).with_columns(pl.lit(str(path)).alias(FILE)))


def read_range(one: Range) -> pl.DataFrame:
    """Read the rows of a range.

    Args:
        one: Of `disk_ranges.ranges`.

    Returns:
        The rows in canonical order; on the way there they stand in memory twice.

    Raises:
        OSError: A chunk cannot be read.
    """
    parts: list[pl.DataFrame] = []
    for begin in range(0, len(one.slices), _OPEN):
        scans = [pl.scan_ipc(file, glob=False).slice(*place) for file, *place in one.slices[begin : begin + _OPEN]]
        parts += pl.collect_all(scans)
    return in_canonical_order(pl.concat(parts))


def in_canonical_order(rows: pl.DataFrame) -> pl.DataFrame:
    """Sort rows; those of one line stay as they stand."""
    return rows.sort(*_of_step(rows), "_file", "_line", maintain_order=True)


def _index(rows: pl.DataFrame, sizes: pl.DataFrame) -> pl.DataFrame:
    names = _of_step(rows)
    of_row = rows.select(names).with_columns(sizes[BYTES]).with_row_index(FIRST)
    of_step = of_row.group_by(names, maintain_order=True).agg(
        pl.col(FIRST).first(), pl.len().alias(ROWS), pl.col(BYTES).sum()
    )
    return of_step.with_columns(pl.col(FIRST, ROWS, BYTES).cast(pl.Int64))


def _of_step(rows: pl.DataFrame) -> list[str]:
    return [name for name in ("run", "step") if name in rows.columns]


def _apart(table: pl.DataFrame) -> pl.DataFrame:
    """A copy with texts of its own: those of polars are views, which keep the texts of the whole chunk in memory."""
    written = BytesIO()
    table.write_ipc(written)
    written.seek(0)
    return pl.read_ipc(written)


def _bytes_of_row(schema: pl.Schema) -> pl.Expr:
    """About what each row takes in memory."""
    total = pl.lit(0, pl.Int64)
    for name, dtype in schema.items():
        column = pl.col(name)
        if dtype == pl.String:
            total += column.str.len_bytes().fill_null(0).cast(pl.Int64)
        elif isinstance(dtype, pl.List):
            total += column.list.len().fill_null(0).cast(pl.Int64) * _width(dtype.inner)
        total += 16 if dtype == pl.String else _width(dtype)
    return total


def _width(dtype: object) -> int:
    return 4 if dtype in (pl.Int32, pl.UInt32, pl.Float32) else 1 if dtype == pl.Boolean else 8
