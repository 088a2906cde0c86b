"""Spill of a log in file order to batches of whole steps, in the order of their last rows, however the log is cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import polars as pl

from ...errors import InputError
from ..log import Log
from ..rollouts import REJECTED
from ..rows.records import Part

Key = tuple[str, int | None]


class Disordered(InputError):
    """A step came back after its groups were handed out. Reading again with `ordered=False` is right for any order."""


class Piece(NamedTuple):
    """What one part of the log let go: rows of whole steps, rejected rows, and how far the reading is."""

    rows: list[pl.DataFrame]
    rejected: pl.DataFrame
    done: int
    read: int


def in_order(parts: Iterable[Part], log: Log, gone: set[Key]) -> Iterator[Piece]:
    """Hand out each step once later rows have filled a chunk without a row of it.

    Args:
        parts: The log from the top.
        log: Where it comes from, for messages.
        gone: Steps handed out before, by other logs; grows.

    Yields:
        For every part the rows of the steps that it closed, a table per step.

    Raises:
        Disordered: A row of a step that was handed out.
        InputError: The step was handed out from another log.
    """
    before = frozenset(gone)
    held = _Held({})
    tick_of: dict[Key, int] = {}
    size = 0
    for part in parts:
        tick, size = size // log.plan.chunk, size + part.size
        for key, rows in by_step(part.rows):
            if key in gone:
                raise _returned(key, rows, log, before)
            held.take(key, rows)
            tick_of[key] = tick
        closed = [key for key in held.rows if tick_of[key] < tick] if size // log.plan.chunk > tick else []
        gone.update(closed)
        yield Piece(held.let_go(closed), part.rejected, part.done, len(part.rows) + len(part.rejected))
    gone.update(held.rows)
    yield Piece(held.let_go(held.rows), pl.DataFrame(schema=REJECTED), sum(s.size for s in log.sources), 0)


def in_any_order(parts: Iterable[Part], ends: dict[Key, int], log: Log, gone: set[Key]) -> Iterator[Piece]:
    """Hand out each step after the last part that has a row of it, as `last_parts` found."""
    before = frozenset(gone)
    held = _Held({})
    for number, part in enumerate(parts):
        for key, rows in by_step(part.rows):
            if key in before:
                raise _returned(key, rows, log, before)
            held.take(key, rows)
        closed = [key for key in held.rows if ends[key] <= number]
        gone.update(closed)
        yield Piece(held.let_go(closed), part.rejected, part.done, len(part.rows) + len(part.rejected))


def _returned(key: Key, rows: pl.DataFrame, log: Log, before: frozenset[Key]) -> InputError:
    where = f"{log.sources[rows['_file'][0]].name}:{rows['_line'][0]}: step {key[1]} of run {key[0]}"
    if key in before:
        return InputError(f"{where} stands in another log too. Give both as one folder, or as files numbered in a row.")
    return Disordered(
        f"{where} comes back after it was handed out. Read the log with ordered=False, which reads it twice."
    )


def last_parts(parts: Iterable[Part]) -> dict[Key, int]:
    """Number of the last part that has a row of each step."""
    ends: dict[Key, int] = {}
    for number, part in enumerate(parts):
        ends.update({key: number for key, _ in by_step(part.rows)})
    return ends


def by_step(rows: pl.DataFrame) -> Iterator[tuple[Key, pl.DataFrame]]:
    """The rows of each (run, step), in the order in which these appear; slices where they lie together."""
    if not len(rows):
        return
    names = [c for c in ("run", "step") if c in rows.columns]
    opens = rows.select(pl.struct(names).rle().alias("runs")).unnest("runs")
    heads = opens["value"].struct.unnest()
    if heads.is_duplicated().any():
        for key, part in rows.group_by(names, maintain_order=True):
            yield (key[0], key[1] if len(key) > 1 else None), part
        return
    begin = 0
    for length, key in zip(opens["len"], heads.iter_rows(), strict=True):
        yield (key[0], key[1] if len(key) > 1 else None), rows.slice(begin, length)
        begin += length


class _Held(NamedTuple):
    """Rows of the steps that are not over."""

    rows: dict[Key, list[pl.DataFrame]]

    def take(self, key: Key, rows: pl.DataFrame) -> None:
        self.rows.setdefault(key, []).append(rows)

    def let_go(self, keys: Iterable[Key]) -> list[pl.DataFrame]:
        """A table per step. The order shows in group numbers and modal sizes, so it must not come from the parts."""
        ordered = sorted(keys, key=lambda key: self.rows[key][-1].select("_file", "_line").row(-1))
        return [pl.concat(self.rows.pop(key)) for key in ordered]
