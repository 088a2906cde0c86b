"""First task of a worker: the rows of a part of a log, sorted into chunks on a disk that all workers see."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..logs.format import Log
from ..logs.grouping.disk_ranges import FILE
from ..logs.grouping.on_disk import write_sorted
from ..logs.grouping.steps import chunks_to_sort
from ..logs.parts import Part, cut
from ..logs.rollouts import REJECTED
from .opening import Opening


class SortTask(NamedTuple):
    """A part of a log to be sorted.

    Attributes:
        opening: The logs.
        log: Which of them.
        part: Which part; None: all of it, as its rows depend on those before.
        name: Beginning of the names of the chunks, with the folder.
    """

    opening: Opening
    log: int
    part: Part | None
    name: str


class Sorted(NamedTuple):
    """A part that was sorted.

    Attributes:
        index: Of its chunks (`on_disk.write_sorted`); None without a usable row.
        rejected: `rollouts.REJECTED`.
        read: Rows read, rejected ones included.
        told: What was done to single rows.
        size: Bytes of the log.
    """

    index: pl.DataFrame | None
    rejected: pl.DataFrame
    read: int
    told: Counter[str]
    size: int


def parts_of(log: Log, size: int) -> list[Part | None]:
    """The parts of a log that can be read apart, lines of about `size` bytes or whole files; [None] for all of it."""
    if log.read_part is None:
        return [None]
    if not log.by_lines:
        return [Part(index) for index in range(len(log.sources))]
    return [part for index, source in enumerate(log.sources) for part in cut(source, index, size)]


def sort_part(task: SortTask) -> Sorted:
    """Read and sort a part; made twice, for a worker that was lost, the files are the same.

    Raises:
        InputError: A file cannot be read.
        OSError: A chunk cannot be written.
    """
    log = task.opening.logs().logs[task.log]
    batches = log.row_batches() if task.part is None or log.read_part is None else log.read_part(task.part)
    rejected, told, read, index = [pl.DataFrame(schema=REJECTED)], Counter(), 0, []
    for number, (rows, batch) in enumerate(chunks_to_sort(batches)):
        if len(rows):
            index.append(_written(rows, f"{task.name}-{number:04d}.arrow"))
        if batch:
            rejected.append(batch.rejected)
            told.update(batch.told)
            read += len(batch.rows) + len(batch.rejected)
    size = sum(s.size for s in log.sources) if task.part is None else _size(log, task.part)
    return Sorted(pl.concat(index) if index else None, pl.concat(rejected), read, told, size)


def _size(log: Log, part: Part) -> int:
    return log.sources[part.source].size if part.size is None else part.size


def _written(rows: pl.DataFrame, path: str) -> pl.DataFrame:
    """The index of a chunk, written under another name first: whoever reads it finds it whole."""
    new = f"{path}.{os.getpid()}"
    index = write_sorted(rows, Path(new), ())
    Path(new).replace(path)
    return index.with_columns(pl.lit(path).alias(FILE))
