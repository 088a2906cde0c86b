"""An analysis by workers: each measures ranges of whole steps, and the results are added up in their order.

A log whose steps come in order is measured where it stands, stretch by stretch (`stretches`); where that turns out not
to be so, all begins anew with rows sorted on disk (`sorting`). Results are added in the order of runs and steps, as one
process does, and every number is that of one process. Two things in a range depend on the steps before it: the modal
group size, and the numbers of pieces that fall on one number. A range is measured as if nothing came before; where the
steps before say otherwise it is measured again.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from ..analysis.analyze import checked_options
from ..analysis.baseline_by import asked_by, reading_with
from ..analysis.divisor import FirstGroups
from ..analysis.options import Options
from ..analysis.running import RunningAnalysis
from ..analysis.tables import Tables
from ..errors import InputError, UsageError
from ..logs.columns.keys import key_of_groups
from ..logs.format import Log
from ..logs.grouping.steps import Disordered, Key
from ..logs.options import ReadOptions
from ..logs.rollouts import Rollouts
from ..logs.stream import Logs, SoFar, batch_of, head_of, open_all
from .measuring import RangeTask, grouped, measure_range
from .merging import Merged
from .opening import Opening
from .pools import Pool
from .progress import Progress
from .sorting import part_size, sorted_logs
from .stretches import Stretch, can_be_shared, first_steps, stretches


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
    opening = Opening(sources, replace(reading, progress=None, ordered=False), pool.workers)
    size = sum(source.size for source in sources)
    part = part_size(size, pool.workers)
    work = _Work(pool, opening, logs, options, folder, part)
    try:
        if can_be_shared(logs.logs, part, 2 * pool.workers):
            try:
                return _in_order(work, Progress(reading, size, 1))
            except Disordered:
                pass
        return _sorted(work, Progress(reading, size, 2))
    except InputError as error:
        raise logs.with_changes(error) from None


class _Work(NamedTuple):
    """What is to be done, and by whom; `part` is the number of bytes that a worker reads at a time."""

    pool: Pool
    opening: Opening
    logs: Logs
    options: Options
    folder: Path
    part: int


def _in_order(work: _Work, progress: Progress) -> Tables:
    """Measure stretches of the log where they stand; raises `Disordered` where it is not in the order of its steps."""
    opening, logs = work.opening, work.logs
    first = SoFar(opening.options)
    steps = ((log, some) for log in logs.logs for some in first_steps(log, opening.memory))
    merged, options = _begun(work, (batch_of(log, some, opening.options, first) for log, some in steps))
    waiting: deque[tuple[int, RangeTask]] = deque()

    def tasks() -> Iterator[RangeTask]:
        for number, log in enumerate(logs.logs):
            for stretch in stretches(log, work.part):
                waiting.append((stretch.bytes, RangeTask(opening, number, stretch, options)))
                yield waiting[-1][1]

    log_of: dict[Key, int] = {}
    for result in work.pool.results(measure_range, tasks()):
        size, task = waiting.popleft()
        log = logs.logs[task.log]
        if isinstance(task.rows, Stretch) and task.rows.first:
            merged.begin(head_of(log), Counter())
        _of_one_log(log, task.log, result.steps, log_of)
        merged.add(task, result)
        progress.add(size, result.usable.rows)
    return _ended(work, merged)


def _sorted(work: _Work, progress: Progress) -> Tables:
    """Sort the rows of the log on disk, and measure ranges of them."""
    opening, logs = work.opening, work.logs
    # All is sorted before anything is measured: any part may hold rows of any step.
    every, log_of = [], {}
    for number, one in enumerate(sorted_logs(work.pool, opening, logs, work.part, work.folder, progress)):
        _of_one_log(logs.logs[number], number, one.steps, log_of)
        every.append(one)
    first = SoFar(opening.options)
    ranges = ((number, one) for number, log in enumerate(every) for one in log.cuts)
    merged, options = _begun(work, chain.from_iterable(grouped(opening, *place, first) for place in ranges))
    progress.begin_second(sum(one.bytes for log in every for one in log.cuts))
    tasks = [[RangeTask(opening, number, one, options) for one in log.cuts] for number, log in enumerate(every)]
    # One stream of tasks over all logs, so that no worker waits where one ends.
    results = work.pool.results(measure_range, chain.from_iterable(tasks))
    for log, of_log in zip(every, tasks, strict=True):
        merged.begin(log.head, log.told)
        for task in of_log:
            merged.add(task, next(results))
            progress.add(task.rows.bytes)
    return _ended(work, merged)


def _begun(work: _Work, batches: Iterable[Rollouts]) -> tuple[Merged, Options]:
    """An analysis without results, and its options with a divisor.

    Args:
        work: What is to be done.
        batches: The log from its beginning; of these as many as decide the divisor are read here, as little is needed.
    """
    options, first = work.options, None
    if not options.std:
        first = FirstGroups()
        any(first.add(batch) for batch in batches)
    merged = Merged(work.opening, RunningAnalysis(options, work.opening.options, work.folder, first))
    return merged, replace(options, std=first.divisor()[0]) if first else options


def _ended(work: _Work, merged: Merged) -> Tables:
    names = [source.name for source in work.opening.sources]
    merged.usable.check(names, key_of_groups(work.logs.logs[0].plan))
    return merged.tables(work.logs.changed())


def _of_one_log(log: Log, number: int, steps: Iterable[Key], log_of: dict[Key, int]) -> None:
    """Refuse a step that stands in an earlier log, too; remember those of this one."""
    for run, step in steps:
        if log_of.setdefault((run, step), number) != number:
            raise InputError(
                f"{log.sources[0].name}: step {step} of run {run} stands in another log too. Give both as one folder,"
                " or as files numbered in a row."
            )
