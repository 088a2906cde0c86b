"""From the rows of a log, in the order of its files, to whole training steps in the order of run and step.

A step is held until it is over, so memory follows the largest step, not the log. A log whose steps come in another
order, or so mixed that what is held grows too large, is sorted on disk first. Order and content of the steps must not
depend on how the log is cut into chunks, nor on the order of its rows: modal sizes and much else follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ...errors import InputError
from ...scratch import scratch
from ..format import Log
from ..rollouts import REJECTED
from ..rows.records import RowBatch
from .disk_ranges import ranges
from .on_disk import read_range, write_sorted

Key = tuple[str, int | None]  # run and training step; None where the log has no steps


CHUNK = 32 << 20  # bytes of rows that are sorted and written to disk at a time
RANGE = 16 << 20  # bytes of rows that are read back at a time, at most; larger ones are no faster
PART = 16  # of the memory that may be planned with: on their way to groups and trees rows stand there several times


class Disordered(InputError):
    """A log is not in the order of its steps, or they are so mixed that too much would have to be held.

    Reading again with `ordered=False` is right for any order.
    """


class ClosedSteps(NamedTuple):
    """What follows from one more batch of rows.

    Attributes:
        rows: A table for each step that is over now.
        rejected: Rows of the batch that were rejected.
        done: Bytes of the log read so far.
        read: Rows of the batch, rejected ones included.
    """

    rows: list[pl.DataFrame]
    rejected: pl.DataFrame
    done: int
    read: int


def in_order(batches: Iterable[RowBatch], log: Log, handed_out: set[Key], memory: int) -> Iterator[ClosedSteps]:
    """Hand out each step once a chunk has gone by without a row of it, and all steps before it are out.

    Args:
        batches: The log from the top.
        log: Where it comes from, for messages.
        handed_out: Steps that other logs handed out before; grows.
        memory: Bytes of rows that may be held while more than one step is open.

    Yields:
        For every batch the steps that it closed; at the end the rest.

    Raises:
        Disordered: A row of a step that comes before one that this log has handed out, or of that; or too many rows
            are held.
        InputError: A row of a step that another log has handed out.
    """
    of_other_logs = frozenset(handed_out)
    held = _HeldSteps({}, {})
    last_chunk: dict[Key, int] = {}
    size, newest = 0, None
    for batch in batches:
        # Chunks are counted in bytes of the log, not in batches: these differ by container and thread.
        chunk, size = size // log.plan.chunk, size + batch.size
        for key, rows in by_step(batch.rows):
            if key in of_other_logs or (newest is not None and place_of(key) <= newest):
                raise _came_back(key, rows, log, of_other_logs)
            held.add(key, rows)
            last_chunk[key] = chunk
        # One open step must be held, however large; several mean that rows are mixed, and sorting bounds that.
        if len(held.rows) > 1 and sum(held.bytes.values()) > memory:
            raise Disordered(f"{log.sources[0].name}: rows of {len(held.rows)} steps are mixed, too many to hold.")
        closed: list[Key] = []
        if size // log.plan.chunk > chunk:  # the next chunk begins
            for key in sorted(held.rows, key=place_of):
                if last_chunk[key] >= chunk:  # it may go on, and later steps wait for it
                    break
                closed.append(key)
                newest = place_of(key)
        handed_out.update(closed)
        yield ClosedSteps(held.take_out(closed), batch.rejected, batch.done, len(batch.rows) + len(batch.rejected))
    handed_out.update(held.rows)
    rest = sorted(held.rows, key=place_of)
    yield ClosedSteps(held.take_out(rest), pl.DataFrame(schema=REJECTED), sum(s.size for s in log.sources), 0)


def sorted_on_disk(batches: Iterable[RowBatch], log: Log, handed_out: set[Key], memory: int) -> Iterator[ClosedSteps]:
    """Hand out the steps of a log in any order: its rows go to a temporary folder, sorted chunk by chunk, and back.

    Args:
        batches: The log from the top.
        log: Where it comes from.
        handed_out: As for `in_order`.
        memory: Bytes that may be planned with; a single step that needs more is read whole.

    Yields:
        For every batch what was rejected; then the steps, some at a time.
    """
    # Rows go to the disk and back, so what is done goes up to twice the bytes of the log.
    of_other_logs, total = frozenset(handed_out), sum(source.size for source in log.sources)
    with scratch() as folder:
        index = []
        for number, (rows, batch) in enumerate(chunks_to_sort(batches)):
            if batch:
                yield ClosedSteps([], batch.rejected, batch.done, len(batch.rows) + len(batch.rejected))
            if len(rows):
                for key, of_step in by_step(rows):
                    if key in of_other_logs:
                        raise _came_back(key, of_step, log, of_other_logs)
                index.append(write_sorted(rows, Path(folder, f"{number:06d}.arrow")))
        cuts = ranges(pl.concat(index), min(memory // PART, RANGE)) if index else []
        if not index:
            yield ClosedSteps([], pl.DataFrame(schema=REJECTED), 2 * total, 0)
        del index
        before, every = 0, sum(one.bytes for one in cuts) or 1
        for one in cuts:
            steps = dict(by_step(read_range(one)))
            before += one.bytes
            handed_out.update(steps)
            done = total + total * before // every  # the second half of the way
            yield ClosedSteps(list(steps.values()), pl.DataFrame(schema=REJECTED), done, 0)


def chunks_to_sort(batches: Iterable[RowBatch]) -> Iterator[tuple[pl.DataFrame, RowBatch | None]]:
    """Rows to sort at a time, `CHUNK` bytes of them or none yet, and the batch that came; None behind the last."""
    held: list[pl.DataFrame] = []
    size = 0
    for batch in batches:
        held.append(batch.rows)
        size += int(batch.rows.estimated_size())
        rows = batch.rows.clear()
        if size >= CHUNK:
            rows, held, size = pl.concat(held), [], 0
        yield rows, batch
    if held:
        yield pl.concat(held), None


def place_of(key: Key) -> tuple[str, int, int]:
    """By what steps are sorted: run, then step, rows without a step first."""
    run, step = key
    return (run, 0, 0) if step is None else (run, 1, step)


def _came_back(key: Key, rows: pl.DataFrame, log: Log, of_other_logs: frozenset[Key]) -> InputError:
    where = f"{log.sources[rows['_file'][0]].name}:{rows['_line'][0]}: step {key[1]} of run {key[0]}"
    if key in of_other_logs:
        return InputError(f"{where} stands in another log too. Give both as one folder, or as files numbered in a row.")
    return Disordered(
        f"{where} comes after a later one was handed out. Read the log with ordered=False, which sorts it on disk."
    )


def by_step(rows: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    """The rows of each (run, step), in the order in which these appear; slices where they lie together."""
    if not len(rows):
        return
    names = [c for c in ("run", "step") if c in rows.columns]
    lengths, keys = _stretches(rows)
    if keys.is_duplicated().any():  # steps are mixed: rows must be copied
        for key, of_step in rows.group_by(names, maintain_order=True):
            yield (key[0], key[1] if len(key) > 1 else None), of_step
        return
    yield from _cut(rows, lengths, keys)


def by_stretch(rows: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    """Neighbours of one (run, step), as slices; a step whose rows are mixed with others comes several times."""
    return _cut(rows, *_stretches(rows))


def _stretches(rows: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """How many neighbours are of one (run, step), and of which."""
    names = [c for c in ("run", "step") if c in rows.columns]
    stretches = rows.select(pl.struct(names).rle().alias("runs")).unnest("runs")  # len, value of neighbours that agree
    return stretches["len"], stretches["value"].struct.unnest()


def _cut(rows: pl.DataFrame, lengths: pl.Series, keys: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    begin = 0
    for length, key in zip(lengths, keys.iter_rows(), strict=True):
        yield (key[0], key[1] if len(key) > 1 else None), rows.slice(begin, length)
        begin += length


class _HeldSteps(NamedTuple):
    """Rows of the steps that are not over, batch by batch, and about how many bytes they take."""

    rows: dict[Key, list[pl.DataFrame]]
    bytes: dict[Key, int]

    def add(self, key: Key, rows: pl.DataFrame) -> None:
        self.rows.setdefault(key, []).append(rows)
        self.bytes[key] = self.bytes.get(key, 0) + int(rows.estimated_size())

    def take_out(self, keys: Iterable[Key]) -> list[pl.DataFrame]:
        """A table per step, in the order of the keys."""
        taken = []
        for key in list(keys):
            taken.append(pl.concat(self.rows.pop(key)))
            del self.bytes[key]
        return taken
