"""The training steps of a run whose files are still written, each once it is over: to be shown, not to be summed up.

What a log says as a whole is for `stream.fold` once all of it is there: it may sort rows and look at all files to find
out what they mean. Here rows are read once, as they come, and a step whose rows come late is given without them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from .columns.plan import Plan
from .format import Log
from .formats.registry import open_run
from .grouping.canonical_table import canonical_table
from .grouping.groups import into_groups
from .grouping.steps import Key, by_step, place_of
from .options import ReadOptions
from .rollouts import Rollouts
from .rows.records import RowBatch, row_schema
from .sources import Source
from .stream import SoFar

BESIDE = 32  # files that were read and are looked at again: some formats tell what a reward is by all of a run


class GrowingSteps:
    """Gives the steps of one run as they are over.

    A step is over when two later ones have begun, when a later one has and no row of it came in the last call, or when
    it holds as many rows as the largest step before. Rows that name no step are counted and belong to none.

    Args:
        options: How to read.

    Attributes:
        unnamed: Rows without a step, so far.
        late: Steps to the number of rows that came after they were given.
        rejected: Rows that were rejected, so far.
    """

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._given: set[Key] = set()
        self._begin()

    def _begin(self) -> None:
        self.unnamed, self.rejected = 0, 0
        self.late: Counter[Key] = Counter()
        self._rows_as: tuple = ()  # what the columns of rows that are held mean
        self._read: dict[Path, int] = {}  # bytes of each file
        self._files: list[Source] = []  # which the rows that are held name by their place here
        self._held: dict[Key, list[pl.DataFrame]] = {}
        self._most: Counter[str] = Counter()  # rows of the largest step of a run
        self._so_far = SoFar(self._options)

    def add(self, sources: Sequence[Source]) -> Iterator[Rollouts]:
        """Read what is new.

        Args:
            sources: The files of the run with what is whole of each, in reading order.

        Yields:
            The steps that are over, each by itself.

        Raises:
            InputError: No rows can be made of what is there yet. All of it is read again with the next call.
            UsageError: An option that does not fit this log.
        """
        log = self._opened(sources)
        if log is None:
            return
        again = bool(self._held) and self._rows_as != _meaning(log.plan)
        if again:  # by more rows the columns mean something else: what is held is read again
            self._begin()
            log = self._opened(sources) or log
        self._rows_as = _meaning(log.plan)
        fresh: set[Key] = set()
        for batch in log.row_batches():
            self.rejected += len(batch.rejected)
            fresh |= self._hold(batch, log, count_late=not again)
            yield from self._taken(self._over(fresh), log)
        self._read |= {source.path: source.size for source in sources}
        yield from self._taken(self._over(fresh, read=True), log)

    def _taken(self, over: Iterable[Key], log: Log) -> Iterator[Rollouts]:
        """The steps as groups."""
        for key in over:
            rows = pl.concat(self._held.pop(key))
            self._most[key[0]] = max(self._most[key[0]], len(rows))
            self._given.add(key)
            grouped = into_groups([rows], log.plan, self._options, self._so_far.grouping, self._files)
            self._so_far.told.update(grouped.told)
            table = canonical_table(grouped.rows, log.plan, self._so_far.encoder, self._so_far.told)
            yield Rollouts(table, grouped.rejected)

    def _opened(self, sources: Sequence[Source]) -> Log | None:
        """What is new as a log, beside files that were read, by which it is known what all mean. None: nothing is."""
        marked = [source._replace(since=self._read.get(source.path, 0)) for source in sources]
        fresh = {source.path for source in marked if source.since < source.size}
        known = [source.path for source in marked if source.path not in fresh]
        first = [file.path for file in self._files[:1]]
        wanted = {*fresh, *first, *known[-BESIDE:]}
        return open_run([source for source in marked if source.path in wanted], self._options) if fresh else None

    def _hold(self, batch: RowBatch, log: Log, *, count_late: bool) -> set[Key]:
        """Keep the rows of a batch by their steps, and say which those are."""
        numbers = {source.path: number for number, source in enumerate(self._files)}
        for source in log.sources:
            if source.path not in numbers:
                numbers[source.path] = len(self._files)
                self._files.append(source)
        here = list(range(len(log.sources)))
        places = pl.col("_file").replace_strict(here, [numbers[s.path] for s in log.sources], return_dtype=pl.Int32)
        # No line is shorter than a byte, so lines of one file keep apart and in order.
        before = pl.col("_file").replace_strict(here, [s.since for s in log.sources], return_dtype=pl.Int64)
        touched = set()
        for key, rows in by_step(batch.rows):
            touched.add(key)
            if key[1] is None:
                self.unnamed += len(rows)
            elif key in self._given:
                self.late[key] += len(rows) if count_late else 0
            else:
                self._held.setdefault(key, []).append(rows.with_columns(places, pl.col("_line") + before))
        return touched

    def _over(self, fresh: set[Key], *, read: bool = False) -> list[Key]:
        """The steps that are over, in order up to the first that is not.

        Args:
            fresh: Those that rows came of in this call.
            read: All that is new was read.
        """
        over: list[Key] = []
        most, waiting = Counter(self._most), set()
        for key in sorted(self._held, key=place_of):
            run, rows = key[0], sum(map(len, self._held[key]))
            later = sum(other[0] == run and place_of(other) > place_of(key) for other in {*self._held, *self._given})
            done = later > 1 or (later == 1 and read and key not in fresh) or rows >= most[run] > 0
            if done and run not in waiting:
                over.append(key)
                most[run] = max(most[run], rows)
            else:
                waiting.add(run)
        return over


def _meaning(plan: Plan) -> tuple:
    return plan.by, row_schema(plan)
