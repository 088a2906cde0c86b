"""Rows of a log in any order, sorted on disk: sorted chunks first, then one range of the whole order after another.

Memory follows the chunks and ranges, not the log and not its largest step. Rows are in canonical order: by run, step,
the columns `by` that tell groups apart, then file and line. Nulls come first, and short texts of `by` before longer
ones, so that "2" comes before "10".

A chunk is an Arrow IPC file, uncompressed: of the formats that were measured (docs/benchmarks.md) the fastest to write,
and to read a few rows of. Whoever gives the folder removes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import polars as pl

from .disk_ranges import BYTES, FILE, FIRST, ROWS, Range, cut_keys

PIECE = 64 << 10  # bytes of rows that an index tells apart: a range reads up to this much for nothing at its ends
_BATCH = 512 << 10  # bytes of the record batches, the least that is read of a chunk
_OPEN = 64  # chunks that are open together
_STRETCH, _KEY = "_stretch", "_key"


def write_sorted(rows: pl.DataFrame, path: Path, by: Sequence[str]) -> pl.DataFrame:
    """Sort one chunk of a log and write it.

    Args:
        rows: Columns of `records.row_schema`, in any order; rows of one line of the log are in one chunk.
        path: File to write.
        by: Columns that tell groups apart; those that `rows` lacks are passed over.

    Returns:
        Its index, a row for each piece, which is of one (run, step) and has whole values of `by`: `run`, `step` (if the
        rows have it), the cut keys of its first row (`disk_ranges.cut_keys`), and `_chunk` (path), `_first` (row in the
        chunk, int64), `_rows` (int64), `_bytes` (int64, about what they take in memory).

    Raises:
        OSError: It cannot be written.
    """
    rows = in_canonical_order(rows, by)
    sizes = rows.select(_bytes_of_row(rows.schema).alias(BYTES))
    mean = max(1, int(sizes[BYTES].sum()) // max(1, len(rows)))
    rows.write_ipc(path, record_batch_size=max(1, _BATCH // mean))
    return _apart(_index(rows, sizes, by).with_columns(pl.lit(str(path)).alias(FILE)))


def read_range(one: Range, by: Sequence[str]) -> pl.DataFrame:
    """Read the rows of a range.

    Args:
        one: Of `disk_ranges.ranges`.
        by: As for `write_sorted`.

    Returns:
        The rows in canonical order; on the way there they stand in memory twice.

    Raises:
        OSError: A chunk cannot be read.
    """
    held = None if one.whole else _held(one, cut_keys(by, pl.scan_ipc(one.slices[0][0], glob=False).collect_schema()))
    parts: list[pl.DataFrame] = []
    for begin in range(0, len(one.slices), _OPEN):
        scans = [pl.scan_ipc(file, glob=False).slice(*place) for file, *place in one.slices[begin : begin + _OPEN]]
        parts += pl.collect_all(scans if held is None else [scan.filter(held) for scan in scans])
    return in_canonical_order(pl.concat(parts), by)


def in_canonical_order(rows: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    """Sort rows; those of one line that are equal in `by` stay as they stand."""
    order = [pl.col(name) for name in ("run", "step") if name in rows.columns]
    for name in (name for name in by if name in rows.columns):
        order += [pl.col(name).str.len_bytes()] if rows.schema[name] == pl.String else []
        order.append(pl.col(name))
    return rows.sort(*order, "_file", "_line", maintain_order=True)


def _index(rows: pl.DataFrame, sizes: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    names = [c for c in ("run", "step") if c in rows.columns]
    keys = rows.select(*names, *cut_keys(by, rows.schema))
    of_row = keys.with_columns(
        sizes[BYTES],
        pl.struct(names).rle_id().alias(_STRETCH),
        pl.struct(keys.columns).rle_id().alias(_KEY),
    ).with_row_index(FIRST)
    of_key = of_row.group_by(_KEY, maintain_order=True).agg(
        pl.col(*keys.columns, FIRST, _STRETCH).first(), pl.len().alias(ROWS), pl.col(BYTES).sum()
    )
    piece = (pl.col(BYTES).cum_sum() - pl.col(BYTES)).over(_STRETCH) // PIECE
    return (
        of_key.with_columns(piece.alias(_KEY))
        .group_by(_STRETCH, _KEY, maintain_order=True)
        .agg(pl.col(*keys.columns, FIRST).first(), pl.col(ROWS, BYTES).sum())
        .drop(_STRETCH, _KEY)
        .with_columns(pl.col(FIRST, ROWS, BYTES).cast(pl.Int64))
    )


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


def _held(one: Range, keys: Sequence[pl.Expr]) -> pl.Expr:
    """Does a row belong to a part of a (run, step)?"""
    after = pl.lit(True) if one.low is None else _from(keys, one.low)
    return after if one.high is None else after & ~_from(keys, one.high)


def _from(keys: Sequence[pl.Expr], bound: Sequence[int | float | str | None]) -> pl.Expr:
    """Do the keys of a row come at or after a bound, nulls first?"""
    after = pl.lit(True)
    for key, value in reversed(list(zip(keys, bound, strict=True))):
        beyond = key.is_not_null() if value is None else (key > value).fill_null(False)
        same = key.is_null() if value is None else (key == value).fill_null(False)
        after = beyond | (same & after)
    return after
