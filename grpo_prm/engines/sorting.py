"""A log that is not in order: its rows, part by part, sorted into chunks on a disk that all workers see."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..logs.format import Log
from ..logs.grouping.disk_ranges import BYTES, FILE, Range, ranges, sizes_of_steps
from ..logs.grouping.on_disk import write_sorted
from ..logs.grouping.steps import PART, Key, check_size, chunks_to_sort
from ..logs.parts import Part, cut
from ..logs.rollouts import REJECTED, Rollouts
from ..logs.stream import Logs, head_of
from .opening import Opening
from .pools import Pool
from .progress import Progress

LINES = 32 << 20  # bytes of a file of lines that a worker reads at a time, at most
SMALL = 4 << 20  # bytes, at least
RANGE = 64 << 20  # bytes of rows that are measured at a time, at most
SHARE = 4  # parts, and ranges, for each worker, so that all have something to do until the end


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


def part_size(total: int, workers: int) -> int:
    """Bytes of lines that a worker reads at a time, of a log of `total` bytes."""
    return min(max(total // (SHARE * workers), SMALL), LINES)


class SortedLog(NamedTuple):
    """A log whose rows lie sorted on disk.

    Attributes:
        head: A batch without rows: all that was rejected, what was counted, and notes.
        told: What was done to single rows.
        cuts: Ranges of whole steps, in order.
        steps: All of them.
    """

    head: Rollouts
    told: Counter[str]
    cuts: list[Range]
    steps: set[Key]


def sorted_logs(
    pool: Pool, opening: Opening, logs: Logs, size: int, folder: Path, progress: Progress
) -> Iterator[SortedLog]:
    """Sort the rows of logs by workers.

    Args:
        pool: The workers.
        opening: The logs for them.
        logs: The same, opened.
        size: Bytes of lines that a worker reads at a time.
        folder: For the rows.
        progress: Is told.
    """
    parts = [parts_of(log, size) for log in logs.logs]
    tasks = [
        SortTask(opening, number, part, str(folder / f"rows-{number:04d}-{place:06d}"))
        for number, of_log in enumerate(parts)
        for place, part in enumerate(of_log)
    ]
    results = pool.results(sort_part, tasks)
    # Results come in the order of the tasks, whoever made them: so the next ones are those of this log.
    for log, of_log in zip(logs.logs, parts, strict=True):
        head, told, index = head_of(log), Counter(), []
        for _ in of_log:
            done: Sorted = next(results)
            progress.add(done.size, done.read)
            told.update(done.told)
            head.counts["rows_read"] += done.read
            head = head._replace(rejected=pl.concat([head.rejected, done.rejected]))
            index += [] if done.index is None else [done.index]
        chunks = pl.concat(index) if index else None
        # Each worker holds a range at a time, and so has a share of what may be planned with.
        for sizes in sizes_of_steps(chunks) if chunks is not None else ():
            check_size(*sizes, log, opening.memory)
        yield SortedLog(head, told, *_cut_up(chunks, opening.memory // PART, SHARE * pool.workers))


def _cut_up(chunks: pl.DataFrame | None, most: int, shares: int) -> tuple[list[Range], set[Key]]:
    """The ranges of a log, by its index, and its steps."""
    if chunks is None:
        return [], set()
    # No range is larger than a share of the whole, than what a worker may hold, or than what is any faster.
    share = int(chunks[BYTES].sum()) // shares
    step = "step" if "step" in chunks.columns else pl.lit(None, pl.Int64).alias("step")
    return ranges(chunks, max(min(share, most, RANGE), 1)), set(chunks.select("run", step).unique().iter_rows())


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
    index = write_sorted(rows, Path(new))
    Path(new).replace(path)
    return index.with_columns(pl.lit(path).alias(FILE))
