"""From paths to batches of whole groups: what `read`, `fold` and `collect` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

import polars as pl

from ..errors import InputError
from .formats.registry import open_run
from .grouping.buckets import into_groups
from .grouping.draws import Memory
from .grouping.steps import Disordered, Key, Piece, in_any_order, in_order, last_parts
from .grouping.table import Finisher
from .log import Log
from .options import ReadOptions
from .rollouts import REJECTED, SCHEMA, Rollouts
from .rows.records import Part
from .sources import Source, find_sources

T = TypeVar("T")


def read(paths: Sequence[str | Path] | str | Path, options: ReadOptions | None = None) -> Iterator[Rollouts]:
    """Read logs as batches of whole groups, in memory that follows the largest step.

    Args:
        paths: Files and folders, or `-` for standard input.
        options: How to read.

    Yields:
        Batches: rows of a group are neighbours, groups are numbered on and on over all batches, a step is whole. Over
        all batches counts["rows_read"] is the number of rows in the tables and of rejected rows together. Groups of
        one are in the table.

    Raises:
        UsageError: An option that does not fit this log.
        InputError: A path that is no log, no usable row, or no group with two completions.
        Disordered: A step came back after it was handed out; `fold` and `collect` then read again, with
            `ordered=False`.
    """
    options = options or ReadOptions()
    yield from open_all(paths, options).batches()


def fold(
    paths: Sequence[str | Path | Source] | str | Path,
    options: ReadOptions | None,
    consume: Callable[[Iterator[Rollouts]], T],
) -> T:
    """Give the batches of `read` to `consume`, and start anew if the log turns out not to be in order.

    Args:
        paths: As for `read`; or the source of rows in memory (`memory.rows_as_source`).
        options: As for `read`.
        consume: Goes through the batches and returns a result; must keep nothing from a call that was broken off.

    Returns:
        What the last call of `consume` returned.
    """
    options = options or ReadOptions()
    logs = open_all(paths, options)
    try:
        return consume(logs.batches())
    except Disordered:
        return consume(replace(logs, options=replace(options, ordered=False)).batches())


def collect(paths: Sequence[str | Path] | str | Path, options: ReadOptions | None = None) -> Rollouts:
    """Read a whole log into one table; raises what `read` raises, but for `Disordered`."""
    return fold(paths, options, merge)


def merge(batches: Iterable[Rollouts]) -> Rollouts:
    """Put batches together; at least one."""
    every = list(batches)
    return Rollouts(
        pl.concat([b.table for b in every], how="diagonal"),
        pl.concat([b.rejected for b in every]),
        sum((b.counts for b in every), Counter()),
        tuple(dict.fromkeys(note for b in every for note in b.notes)),
        ", ".join(dict.fromkeys(b.format for b in every)),
        tuple(dict.fromkeys(name for b in every for name in b.files)),
    )


def open_all(paths: Sequence[str | Path | Source] | str | Path, options: ReadOptions) -> Logs:
    """Open the logs behind the arguments, one for each run."""
    paths = [paths] if isinstance(paths, str | Path) else paths
    ready = [source for source in paths if isinstance(source, Source)]  # of `memory`: they are nobody's files
    sources = ready or find_sources([path for path in paths if not isinstance(path, Source)], options.run)
    runs = [list(files) for _, files in groupby(sources, key=lambda s: s.run)]
    return Logs(tuple(open_run(files, options) for files in runs), options)


@dataclass(frozen=True, slots=True)
class Logs:
    """Opened logs, one for each run, and how to read them."""

    logs: tuple[Log, ...]
    options: ReadOptions

    def batches(self) -> Iterator[Rollouts]:
        """See `read`."""
        memory, finisher, seen = Memory(), Finisher(self.options.tokenizer), _Seen()
        gone: set[Key] = set()
        for log in self.logs:
            counts = Counter(files_repeated=sum(s.repeats is not None for s in log.sources))
            notes, rejected = (*log.plan.notes, *_repeated(log)), [pl.DataFrame(schema=REJECTED)]
            for piece in self._pieces(log, gone):
                seen.rows += piece.read
                counts["rows_read"] += piece.read
                rejected.append(piece.rejected)
                self._report(log, piece.done, seen.rows)
                if piece.rows:
                    done = into_groups(piece.rows, log.plan, self.options, memory, log.sources)
                    table = finisher.table(done.rows, log.plan)
                    files = pl.concat([rows["_file"] for rows in piece.rows]).unique().to_list()
                    batch = Rollouts(
                        table, pl.concat([*rejected, done.rejected]), counts + done.counts, notes + done.notes
                    )
                    batch = _named(batch, log, files)
                    counts, notes, rejected = Counter(), (), []
                    seen.note(batch)
                    yield batch
            if rejected:
                batch = _named(Rollouts(pl.DataFrame(schema=SCHEMA), pl.concat(rejected), counts, notes), log, ())
                seen.note(batch)
                yield batch
        seen.check([source.name for log in self.logs for source in log.sources])

    def _pieces(self, log: Log, gone: set[Key]) -> Iterator[Piece]:
        if self.options.ordered:
            return in_order(log.parts(), log, gone)
        return in_any_order(log.parts(), last_parts(self._first_pass(log)), log, gone)

    def _first_pass(self, log: Log) -> Iterator[Part]:
        """The parts of a log that will be read again: half of the way, and no rows."""
        for part in log.parts():
            self._tell(log, part.done, 0)
            yield part

    def _report(self, log: Log, done: int, rows: int) -> None:
        self._tell(log, done if self.options.ordered else done + sum(s.size for s in log.sources), rows)

    def _tell(self, log: Log, done: int, rows: int) -> None:
        if self.options.progress:
            at, passes = self.logs.index(log), 1 if self.options.ordered else 2
            sizes = [passes * sum(s.size for s in other.sources) for other in self.logs]
            self.options.progress(sum(sizes[:at]) + done, sum(sizes), rows)


def _named(batch: Rollouts, log: Log, files: Iterable[int]) -> Rollouts:
    """A batch with its format and the files that its rows, the rejected ones too, came from."""
    names = {log.sources[index].name for index in files} | set(batch.rejected["file"])
    return batch._replace(format=log.format, files=tuple(s.name for s in log.sources if s.name in names))


def _repeated(log: Log) -> Iterator[str]:
    """Say which files hold the rows of others."""
    again = [source for source in log.sources if source.repeats]
    if again:
        first = f"{Path(again[0].name).name} those of {Path(again[0].repeats or '').name}"
        more = f"{len(again)} files hold the rows of earlier ones and are left out" if again[1:] else ""
        yield f"{more or 'One file holds the rows of an earlier one and is left out'} ({first})."


@dataclass(slots=True)
class _Seen:
    """What came by, to say at the end what is wrong with a log of which nothing can be used."""

    rows: int = 0
    used: int = 0
    largest: int = 0
    reject: dict[str, Any] | None = None

    def note(self, batch: Rollouts) -> None:
        self.used += len(batch.table)
        if len(batch.table):
            self.largest = max(self.largest, int(batch.table["sample"].to_numpy().max()) + 1)
        if self.reject is None and len(batch.rejected):
            self.reject = batch.rejected.row(0, named=True)

    def check(self, names: list[str]) -> None:
        if not self.used and self.reject:
            line, field = self.reject["line"], self.reject["field"]
            where = self.reject["file"] + (f":{line}" if line is not None else "") + (f": {field}" if field else "")
            raise InputError(
                f"{where}: {self.reject['reason']}; none of the {self.rows} rows can be used."
                " Mend the log, or say with --columns where its columns are."
            )
        if not self.used:
            raise InputError(f"{', '.join(names[:3])}: no rows. Name a log with at least one row.")
        if self.largest < 2:
            raise InputError(
                f"{', '.join(names[:3])}: no group has two completions or more, so nothing is shared."
                " If the grouping is wrong, name the column of the group with --columns group=NAME."
            )
