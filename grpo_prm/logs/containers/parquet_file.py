"""Parquet: a record a row."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from ...errors import InputError
from .. import chunks
from ..rows.records import Record
from ..sources import Source
from .container import Container, Records

ROWS = 256  # of the shortest slice


def frames(source: Source, size: int | None = None) -> Iterator[tuple[pl.DataFrame, int, int]]:
    """Slices of a parquet file, in its order.

    Args:
        source: The file.
        size: Bytes in memory of a slice, about; the first one is short then, as many look at the first rows alone.
            None is `chunks.CHUNK`.

    Yields:
        Each slice, its bytes on disk, and the bytes so far.

    Raises:
        InputError: The file cannot be read.
    """
    whole = source.size or 1
    try:
        scan = pl.scan_parquet(source.open() if source.pipe else source.path)
        total = scan.select(pl.len()).collect().item()
        # A parquet is about four times as large in memory.
        step = max(ROWS, int(total * (size or chunks.CHUNK) / (4 * whole)))
        done = 0
        for frame in _slices(scan, step, total if size is None else ROWS, total):
            share = int(source.size * len(frame) / max(total, 1))
            done += share
            yield frame, share, done
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(
            f"{source.name}: not a parquet file that can be read ({error}). Check that it is whole."
        ) from None


def _slices(scan: pl.LazyFrame, step: int, first: int, total: int) -> Iterator[pl.DataFrame]:
    """`step` rows at a time; before them `first` rows, if there are more, without decoding what follows."""
    if first < total:
        yield scan.head(first).collect()
        scan = scan.slice(first)
    yield from scan.collect_batches(chunk_size=step, maintain_order=True)


def _open(source: Source, size: int) -> Iterator[Records]:
    number = 1
    for frame, share, done in frames(source, size):
        rows = frame.iter_rows(named=True)
        yield Records((Record(line, row, row) for line, row in enumerate(rows, number)), share, done)
        number += len(frame)


CONTAINER = Container("parquet", lambda _source, start: start[:4] == b"PAR1", _open)
