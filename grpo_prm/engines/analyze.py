"""An analysis by workers: parts of the log are sorted, ranges of whole steps measured, and the results added up.

Results are added in the order of runs and steps, as one process does, and every number is that of one process. Two
things in a range depend on the steps before it: the modal group size, and the numbers of pieces that fall on one
number. A range is measured as if nothing came before; where the steps before say otherwise it is measured again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..analysis.analyze import checked_options
from ..analysis.baseline_by import asked_by, reading_with
from ..analysis.divisor import FirstGroups
from ..analysis.options import Options
from ..analysis.running import RunningAnalysis
from ..analysis.tables import Tables
from ..errors import InputError, UsageError
from ..logs.columns.keys import key_of_groups
from ..logs.format import Log
from ..logs.grouping.disk_ranges import BYTES, Range, ranges
from ..logs.grouping.steps import PART, Key
from ..logs.options import ReadOptions
from ..logs.rollouts import Rollouts
from ..logs.stream import Logs, SoFar, head_of, open_all
from ..machine import memory
from .measuring import RangeTask, grouped, measure_range
from .merging import Merged
from .opening import Opening
from .pools import Pool
from .sorting import Sorted, SortTask, parts_of, sort_part

LINES = 32 << 20  # bytes of a file of lines that are sorted at a time, at most
SMALL = 4 << 20  # bytes, at least
RANGE = 64 << 20  # bytes of rows that are measured at a time, at most
SHARE = 4  # parts, and ranges, for each worker, so that all have something to do until the end


def analyze_with(
    pool: Pool, paths: Sequence[str | Path], options: Options, reading: ReadOptions, folder: Path
) -> Tables:
    """Analyse logs with workers.

    Args:
        pool: The workers.
        paths: Files and folders; no pipe.
        options: What changes the numbers; `std` None: the first groups decide.
        reading: How to read.
        folder: For sorted rows and large tables, on a disk that all workers see; must outlive the analysis.

    Returns:
        What `analysis.analyze` gives for the same log.

    Raises:
        InputError, UsageError: As `analysis.analyze`; UsageError for a pipe.
    """
    options = checked_options(options, paths)
    reading = reading_with(reading, options.baseline_by)
    with asked_by(options.baseline_by):
        logs = open_all(paths, reading)
    sources = tuple(source for log in logs.logs for source in log.sources)
    if any(source.pipe for source in sources):
        raise UsageError("A pipe can be read once, by one process. Leave --workers out, or write the log to a file.")
    opening = Opening(sources, replace(reading, progress=None, ordered=False))
    progress = _Progress(reading, sum(source.size for source in sources))
    try:
        return _analyzed(pool, opening, logs, options, folder, progress)
    except InputError as error:
        raise logs.with_changes(error) from None


def _analyzed(pool: Pool, opening: Opening, logs: Logs, options: Options, folder: Path, progress: _Progress) -> Tables:
    # All is sorted before anything is measured: any part may hold rows of any step.
    every = list(_sorted(pool, opening, logs, folder, progress))
    first = None if options.std else _first_groups(opening, [one.cuts for one in every])
    running = RunningAnalysis(options, opening.options, folder, first)
    if first:
        options = replace(options, std=first.divisor()[0])
    merged = Merged(opening, running)
    progress.begin_second(sum(one.bytes for log in every for one in log.cuts))
    tasks = [[RangeTask(opening, number, one, options) for one in log.cuts] for number, log in enumerate(every)]
    # One stream of tasks over all logs, so that no worker waits where one ends.
    results = pool.results(measure_range, chain.from_iterable(tasks))
    for log, of_log in zip(every, tasks, strict=True):
        merged.begin(log.head, log.told)
        for task in of_log:
            merged.add(task, next(results))
            progress.add(task.rows.bytes)
    merged.usable.check([source.name for source in opening.sources], key_of_groups(logs.logs[0].plan))
    return running.tables((*merged.notes, *logs.changed()))


class _SortedLog(NamedTuple):
    """A log whose rows lie sorted on disk.

    Attributes:
        head: A batch without rows: all that was rejected, what was counted, and notes.
        told: What was done to single rows.
        cuts: Ranges of whole steps, in order.
    """

    head: Rollouts
    told: Counter[str]
    cuts: list[Range]


def _sorted(pool: Pool, opening: Opening, logs: Logs, folder: Path, progress: _Progress) -> Iterator[_SortedLog]:
    total = sum(source.size for source in opening.sources)
    size = min(max(total // (SHARE * pool.workers), SMALL), LINES)
    parts = [parts_of(log, size) for log in logs.logs]
    tasks = [
        SortTask(opening, number, part, str(folder / f"rows-{number:04d}-{place:06d}"))
        for number, of_log in enumerate(parts)
        for place, part in enumerate(of_log)
    ]
    results = pool.results(sort_part, tasks)
    handed_out: set[Key] = set()
    for log, of_log in zip(logs.logs, parts, strict=True):
        head, told, index = head_of(log), Counter(), []
        for _ in of_log:
            done: Sorted = next(results)
            progress.add(done.size, done.read)
            told.update(done.told)
            head.counts["rows_read"] += done.read
            head = head._replace(rejected=pl.concat([head.rejected, done.rejected]))
            index += [] if done.index is None else [done.index]
        cuts: list[Range] = []
        if index:
            chunks = pl.concat(index)
            _of_one_log(log, chunks, handed_out)
            # Each worker holds a range at a time, and so has a share of what may be planned with.
            of_worker = (opening.options.memory or memory()) // PART // pool.workers
            share = int(chunks[BYTES].sum()) // (SHARE * pool.workers)
            cuts = ranges(chunks, max(min(share, of_worker, RANGE), 1), inside=False)
        yield _SortedLog(head, told, cuts)


def _of_one_log(log: Log, index: pl.DataFrame, handed_out: set[Key]) -> None:
    """Refuse a step that stands in an earlier log, too; remember those of this one."""
    steps = index.select("run", "step" if "step" in index.columns else pl.lit(None, pl.Int64).alias("step")).unique()
    keys = set(steps.iter_rows())
    for run, step in keys & handed_out:
        raise InputError(
            f"{log.sources[0].name}: step {step} of run {run} stands in another log too. Give both as one folder, or as"
            " files numbered in a row."
        )
    handed_out |= keys


def _first_groups(opening: Opening, logs: Sequence[Sequence[Range]]) -> FirstGroups:
    """The first groups of the log, as many as decide its divisor: read here, as little is needed."""
    first, so_far = FirstGroups(), SoFar(opening.options)
    for number, cuts in enumerate(logs):
        for one in cuts:
            if first.add(grouped(opening, number, one, so_far)):
                return first
    return first


class _Progress:
    """Bytes of both rounds for whoever shows them: those of the log, and as many again for the second."""

    def __init__(self, reading: ReadOptions, size: int) -> None:
        self._report, self._size, self._rows = reading.progress, size, 0
        self._done, self._scale = 0.0, 1.0

    def begin_second(self, size: int) -> None:
        """From now on what is added is of another size in all."""
        self._done, self._scale = float(self._size), self._size / max(size, 1)

    def add(self, size: int, rows: int = 0) -> None:
        """So much more is done."""
        self._done += size * self._scale
        self._rows += rows
        if self._report:
            self._report(min(round(self._done), 2 * self._size), 2 * self._size, self._rows)
