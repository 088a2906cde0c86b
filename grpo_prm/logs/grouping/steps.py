"""From the rows of a log, in the order of its files, to whole training steps: a step is held until it is over.

Memory then follows the largest step, not the log. The order and content of the steps must not depend on how the log is
cut into chunks: group numbers and modal sizes follow from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from ...errors import InputError
from ..format import Log
from ..rollouts import REJECTED
from ..rows.records import RowBatch

Key = tuple[str, int | None]  # run and training step; None where the log has no steps


class Disordered(InputError):
    """A step came back after its groups were handed out. Reading again with `ordered=False` is right for any order."""


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


def in_order(batches: Iterable[RowBatch], log: Log, handed_out: set[Key]) -> Iterator[ClosedSteps]:
    """Hand out each step once a chunk has gone by without a row of it.

    Args:
        batches: The log from the top.
        log: Where it comes from, for messages.
        handed_out: Steps that other logs handed out before; grows.

    Yields:
        For every batch the steps that it closed; at the end the rest.

    Raises:
        Disordered: A row of a step that this log has handed out.
        InputError: A row of a step that another log has handed out.
    """
    of_other_logs = frozenset(handed_out)
    held = _HeldSteps({})
    last_chunk: dict[Key, int] = {}
    size = 0
    for batch in batches:
        # Chunks are counted in bytes of the log, not in batches: these differ by container and thread.
        chunk, size = size // log.plan.chunk, size + batch.size
        for key, rows in by_step(batch.rows):
            if key in handed_out:
                raise _came_back(key, rows, log, of_other_logs)
            held.add(key, rows)
            last_chunk[key] = chunk
        next_begins = size // log.plan.chunk > chunk
        closed = [key for key in held.rows if last_chunk[key] < chunk] if next_begins else []
        handed_out.update(closed)
        yield ClosedSteps(held.take_out(closed), batch.rejected, batch.done, len(batch.rows) + len(batch.rejected))
    handed_out.update(held.rows)
    yield ClosedSteps(held.take_out(held.rows), pl.DataFrame(schema=REJECTED), sum(s.size for s in log.sources), 0)


def in_any_order(
    batches: Iterable[RowBatch], last: dict[Key, int], log: Log, handed_out: set[Key]
) -> Iterator[ClosedSteps]:
    """Hand out each step after the last batch that has a row of it, as `last_batches` has counted."""
    of_other_logs = frozenset(handed_out)
    held = _HeldSteps({})
    for number, batch in enumerate(batches):
        for key, rows in by_step(batch.rows):
            if key in of_other_logs:
                raise _came_back(key, rows, log, of_other_logs)
            held.add(key, rows)
        closed = [key for key in held.rows if last[key] <= number]
        handed_out.update(closed)
        yield ClosedSteps(held.take_out(closed), batch.rejected, batch.done, len(batch.rows) + len(batch.rejected))


def _came_back(key: Key, rows: pl.DataFrame, log: Log, of_other_logs: frozenset[Key]) -> InputError:
    where = f"{log.sources[rows['_file'][0]].name}:{rows['_line'][0]}: step {key[1]} of run {key[0]}"
    if key in of_other_logs:
        return InputError(f"{where} stands in another log too. Give both as one folder, or as files numbered in a row.")
    return Disordered(
        f"{where} comes back after it was handed out. Read the log with ordered=False, which reads it twice."
    )


def last_batches(batches: Iterable[RowBatch]) -> dict[Key, int]:
    """Number of the last batch that has a row of each step."""
    last: dict[Key, int] = {}
    for number, batch in enumerate(batches):
        last.update({key: number for key, _ in by_step(batch.rows)})
    return last


def by_step(rows: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    """The rows of each (run, step), in the order in which these appear; slices where they lie together."""
    if not len(rows):
        return
    names = [c for c in ("run", "step") if c in rows.columns]
    stretches = rows.select(pl.struct(names).rle().alias("runs")).unnest("runs")  # len, value of neighbours that agree
    keys = stretches["value"].struct.unnest()
    if keys.is_duplicated().any():  # steps are mixed: rows must be copied
        for key, of_step in rows.group_by(names, maintain_order=True):
            yield (key[0], key[1] if len(key) > 1 else None), of_step
        return
    begin = 0
    for length, key in zip(stretches["len"], keys.iter_rows(), strict=True):
        yield (key[0], key[1] if len(key) > 1 else None), rows.slice(begin, length)
        begin += length


class _HeldSteps(NamedTuple):
    """Rows of the steps that are not over, batch by batch."""

    rows: dict[Key, list[pl.DataFrame]]

    def add(self, key: Key, rows: pl.DataFrame) -> None:
        self.rows.setdefault(key, []).append(rows)

    def take_out(self, keys: Iterable[Key]) -> list[pl.DataFrame]:
        """A table per step, in the order of their last rows, which does not depend on the cuts between batches."""
        ordered = sorted(keys, key=lambda key: self.rows[key][-1].select("_file", "_line").row(-1))
        return [pl.concat(self.rows.pop(key)) for key in ordered]
