"""From the rows of a log, in the order of its files, to whole training steps in the order of run and step.

A step is held until it is over, so memory follows the largest step, not the log. A log whose steps come in another
order, or so mixed that what is held grows too large, is sorted on disk first. Order and content of the steps must not
depend on how the log is cut into chunks, nor on the order of its rows: modal sizes and much else follow from them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ...errors import InputError
from ...scratch import scratch
from ..format import Log
from ..rollouts import REJECTED
from ..rows.records import RowBatch
from .disk_ranges import Range, ranges, sizes_of_steps
from .on_disk import read_range, write_sorted

Key = tuple[str, int | None]  # run and training step; None where the log has no steps


CHUNK = 32 << 20  # bytes of rows that are sorted and written to disk at a time
RANGE = 16 << 20  # bytes of rows that are read back at a time, at most; larger ones are no faster
PART = 16  # of the memory that may be planned with: on their way to groups and trees rows stand there several times
_OR_NAME_IT = ", or name the step with --columns step=NAME"
# What a step takes on its way to its numbers, by measurement of three kinds of logs.
OF_BYTES = 3  # times the bytes of its rows
OF_ROW = 1000  # bytes beside, for each row


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


def in_order(
    batches: Iterable[RowBatch], log: Log, handed_out: set[Key], memory: int, most: int
) -> Iterator[ClosedSteps]:
    """Hand out each step once a chunk has gone by without a row of it, and all steps before it are out.

    Args:
        batches: The log from the top.
        log: Where it comes from, for messages.
        handed_out: Steps that other logs handed out before; grows.
        memory: Bytes of rows that may be held while more than one step is open.
        most: Bytes that may be planned with, of which a single step may take all.

    Yields:
        For every batch the steps that it closed; at the end the rest.

    Raises:
        Disordered: A row of a step that comes before one that this log has handed out, or of that; or too many rows
            are held.
        InputError: A row of a step that another log has handed out; or a step needs more than `most`.
    """
    of_other_logs = frozenset(handed_out)
    held = HeldSteps(log, most)
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
        memory: Bytes that may be planned with.

    Yields:
        For every batch what was rejected; then the steps, some at a time.

    Raises:
        InputError: A row of a step that another log has handed out; or a step needs more than `memory`.
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
        cuts = _cuts(pl.concat(index), log, memory) if index else []
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


def _cuts(index: pl.DataFrame, log: Log, memory: int) -> list[Range]:
    """The ranges to read back; raises InputError where a step needs more than `memory` (`check_size`)."""
    for sizes in sizes_of_steps(index):
        check_size(*sizes, log, memory)
    return ranges(index, min(memory // PART, RANGE))


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


def check_size(key: Key, rows: int, size: int, log: Log, memory: int) -> None:
    """Refuse a step that needs more memory than may be planned with: its groups must be there at once.

    Args:
        key: The step.
        rows: How many it has, or has so far.
        size: Bytes that they take.
        log: Where they come from.
        memory: Bytes.

    Raises:
        InputError: It needs more.
    """
    if (need := OF_BYTES * size + OF_ROW * rows) > memory:
        named = key[1] is not None
        where = f"step {key[1]}: {rows:,} rows" if named else f"no step is logged, and {rows:,} rows of one"
        raise InputError(
            f"{log.sources[0].name}: {where} take about {need >> 20:,} MB, more than the {memory >> 20:,} MB that "
            f"there are for a step. Grant more with --memory{'' if named else _OR_NAME_IT}."
        )


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


class HeldSteps:
    """Rows of steps that are not over, batch by batch, how many they are and about how many bytes they take.

    Args:
        log: Where they come from.
        most: Bytes that a single step may need on the way to its numbers.
    """

    def __init__(self, log: Log, most: int) -> None:
        self.rows: dict[Key, list[pl.DataFrame]] = {}
        self.bytes: Counter[Key] = Counter()
        self._sizes: Counter[Key] = Counter()
        self._log, self._most = log, most

    def add(self, key: Key, rows: pl.DataFrame) -> None:
        """Hold more rows of a step; raises InputError where it needs more than `most` (`check_size`)."""
        self.rows.setdefault(key, []).append(rows)
        self.bytes[key] += int(rows.estimated_size())
        self._sizes[key] += len(rows)
        check_size(key, self._sizes[key], self.bytes[key], self._log, self._most)

    def take_out(self, keys: Iterable[Key]) -> list[pl.DataFrame]:
        """A table per step, in the order of the keys."""
        taken = []
        for key in list(keys):
            taken.append(pl.concat(self.rows.pop(key)))
            del self.bytes[key], self._sizes[key]
        return taken
