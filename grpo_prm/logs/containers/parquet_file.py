"""Parquet: a record a row."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ...errors import InputError
from .. import chunks
from ..bounds import granted
from ..rows.records import Record
from ..sources import Source
from .container import Container, Records
from .panics import without_panics
from .parquet_footer import rows_of_groups

FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError, OverflowError, MemoryError)

ROWS = 256  # of the shortest slice
OF_GROUP = 4  # part of the memory that a row group may take: two are decoded at a time, beside what is made of them


def frames(source: Source, size: int | None = None) -> Iterator[tuple[pl.DataFrame, int, int]]:
    """Slices of a parquet file, in its order.

    Args:
        source: The file.
        size: Bytes in memory of a slice, about; the first one is short then, as many look at the first rows alone.
            None is `chunks.CHUNK`.

    Yields:
        Each slice, its bytes in memory, and the bytes on disk so far.

    Raises:
        InputError: The file cannot be read.
    """
    try:
        scan = pl.scan_parquet(source.open() if source.pipe else source.path)
        with without_panics():
            total = scan.select(pl.len()).collect().item()
        done = 0
        slices = _slices(scan, source, size, total)
        while (frame := _next(slices)) is not None:
            # Slices are cut by how long the first rows are, and later ones may be a thousand times as long.
            if (held := int(frame.estimated_size())) > granted(source.memory):
                raise InputError(
                    f"{source.name}: {len(frame):,} rows of it take {held >> 20:,} MB in memory. Grant more with"
                    " --memory, or leave out rows whose cells are so long."
                )
            done += int(source.size * len(frame) / max(total, 1))
            yield frame, held, done
    except FAULTS as error:
        why = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{source.name}: not a parquet file that can be read ({why[0][:200]}). Check that it is whole."
        ) from None


def _next(slices: Iterator[pl.DataFrame]) -> pl.DataFrame | None:
    with without_panics():
        return next(slices, None)


def _slices(scan: pl.LazyFrame, source: Source, size: int | None, total: int) -> Iterator[pl.DataFrame]:
    """The rows some at a time; first `ROWS` of them, without decoding what follows, where a size is asked for."""
    # A parquet is about four times as large in memory.
    step = max(ROWS, int(total * (size or chunks.CHUNK) / (4 * (source.size or 1))))
    at = 0
    if total > ROWS:
        head = scan.head(ROWS).collect()
        row = _bytes_of_row(head)
        # By what rows take once they are decoded, too: a dictionary packs them more than four times.
        step = max(ROWS, min(step, (size or chunks.CHUNK) // row))
        if row * _largest_group(source, total) > granted(source.memory) // OF_GROUP:
            yield from _cut(scan, max(ROWS, granted(source.memory) // (2 * OF_GROUP) // row), total, step)
            return
        if size is not None:
            yield head
            at = ROWS
    yield from scan.slice(at).collect_batches(chunk_size=step, maintain_order=True)


def _cut(scan: pl.LazyFrame, rows: int, total: int, step: int) -> Iterator[pl.DataFrame]:
    """The rows where a row group is too large to be decoded at once: each part goes through the group again."""
    at = 0
    while at < total:
        part = scan.slice(at, rows).collect()
        yield from part.iter_slices(min(rows, step))
        at += rows


def check_fits(source: Source) -> None:
    """Refuse a file that is read at once and is too large for that; raises what `scan_parquet` raises as well."""
    scan = pl.scan_parquet(source.open() if source.pipe else source.path)
    total = scan.select(pl.len()).collect().item()
    size = total * _bytes_of_row(scan.head(ROWS).collect())
    if size > granted(source.memory) // OF_GROUP:
        raise InputError(
            f"{source.name}: its {total:,} rows take about {size >> 20:,} MB in memory, and are read at once. Grant"
            f" {OF_GROUP} times that with --memory, or split the file."
        )


def _bytes_of_row(head: pl.DataFrame) -> int:
    return max(1, int(head.estimated_size()) // max(1, len(head)))


def _largest_group(source: Source, total: int) -> int:
    """Rows that polars decodes at once."""
    try:
        with source.open() as file:
            return max(rows_of_groups(file), default=0)
    except ValueError:  # an odd footer: as if all were one
        return total


def _open(source: Source, size: int) -> Iterator[Records]:
    number = 1
    for frame, held, done in frames(source, size):
        rows = frame.iter_rows(named=True)
        yield Records((Record(line, row, row) for line, row in enumerate(rows, number)), held, done)
        number += len(frame)


CONTAINER = Container("parquet", lambda _source, start: start[:4] == b"PAR1", _open)
