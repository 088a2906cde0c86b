"""Stretches of a log whose steps come in order: each worker reads its own from the source, and nothing is sorted.

A stretch is some neighbouring parts of a log. Its worker takes the steps behind the first one in it, which the worker
before has, up to and with the first step of the next stretch, for which it reads on. So each step is taken by one
worker; and as each sees all rows of its stretch and the one behind, together they see whether the log is in order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import NamedTuple

import polars as pl

from ..logs.format import Log
from ..logs.grouping.steps import ClosedSteps, Disordered, HeldSteps, Key, by_stretch, place_of
from ..logs.parts import Part, can_be_cut, cut, lines_from
from ..logs.rollouts import REJECTED
from ..logs.rows.records import RowBatch

CLOSED = 32 << 20  # bytes of rows of steps that are over, which are measured together
AHEAD = 1 << 20  # bytes that are read at a time behind a stretch


class Stretch(NamedTuple):
    """What a worker reads.

    Attributes:
        parts: Neighbours in the order of the log.
        after: What comes behind them; None: nothing.
        first: Nothing comes before.
        bytes: Of the log.
    """

    parts: tuple[Part, ...]
    after: Part | None
    first: bool
    bytes: int


def can_be_shared(logs: Iterable[Log], size: int, shares: int) -> bool:
    """Do all logs name steps, and fall into `shares` stretches or more of about `size` bytes, none much larger?"""
    total, largest = 0, size
    for log in logs:
        if log.read_part is None or not ("step" in log.plan.paths or log.plan.step_of_file):
            return False
        for source in log.sources:
            total += source.size
            if source.size > largest and not (log.by_lines and can_be_cut(source)):
                largest = source.size
    # One large piece would keep a worker busy long after the others have ended.
    return largest * shares <= total


def stretches(log: Log, size: int) -> Iterator[Stretch]:
    """The stretches of a log of about `size` bytes, found while they are asked for."""
    first, held, held_bytes = True, [], 0
    for part, behind in _with_next(_parts(log, size)):
        held.append(part)
        held_bytes += log.sources[part.source].size if part.size is None else part.size
        if held_bytes >= size or behind is None:
            yield Stretch(tuple(held), behind, first, held_bytes)
            first, held, held_bytes = False, [], 0


def steps_of(log: Log, stretch: Stretch, told: Counter[str], keys: set[Key], most: int) -> Iterator[ClosedSteps]:
    """The steps that the worker of a stretch takes.

    Args:
        log: Where it is from.
        stretch: What is read.
        told: Gets what was done to single rows of the stretch.
        keys: Gets the steps.
        most: Bytes that a single step may need.

    Yields:
        Batch by batch what was rejected in the stretch and how many rows were read; with it steps that are over.

    Raises:
        Disordered: A step comes after a later one, or the first stretch is within one step: then the steps are too
            large for stretches of this size.
        InputError: A step needs more than `most`.
    """
    held = HeldSteps(log, most)
    lowest = newest = None
    for batch in _rows(log, stretch.parts):
        told.update(batch.told)
        # Slices and not copies: where a step comes back there is no order, and its worker gives up.
        for key, rows in by_stretch(batch.rows):
            newest, lowest = _after(newest, key, log), lowest or key
            if stretch.first or key != lowest:  # the first step may have begun before: its worker reads on for it
                held.add(key, rows)
        # All but the last one are over, as the log is in order; a few together, since small tables are slow.
        over = [key for key in held.rows if key != newest]
        if sum(held.bytes[key] for key in over) < CLOSED:
            over = []
        keys.update(over)
        yield ClosedSteps(held.take_out(over), batch.rejected, 0, len(batch.rows) + len(batch.rejected))
    if lowest or stretch.first:  # without a usable row nothing was begun, and the worker before reads through it
        for key, rows in _first_step(log, stretch.after, newest):
            if key == lowest and stretch.first:
                raise Disordered(f"{log.sources[0].name}: a step is larger than what a worker reads at a time.")
            if key != lowest:
                held.add(key, rows)
    keys.update(held.rows)
    yield ClosedSteps(held.take_out(held.rows), pl.DataFrame(schema=REJECTED), 0, 0)


def first_steps(log: Log, most: int) -> Iterator[list[pl.DataFrame]]:
    """The steps of a log from its beginning, some at a time; read a little at a time, for whoever needs few.

    Raises:
        Disordered: A step comes after a later one.
        InputError: A step needs more than `most` bytes.
    """
    held = HeldSteps(log, most)
    newest = None
    cuttable = log.by_lines and can_be_cut(log.sources[0])
    for batch in _rows(log, _from(log, Part(0, size=0 if cuttable else None))):
        for key, rows in by_stretch(batch.rows):
            newest = _after(newest, key, log)
            held.add(key, rows)
        if over := [key for key in held.rows if key != newest]:
            yield held.take_out(over)
    if held.rows:
        yield held.take_out(held.rows)


def _first_step(log: Log, after: Part | None, newest: Key | None) -> Iterator[tuple[Key, pl.DataFrame]]:
    """The rows of the first step behind a stretch."""
    first = None
    for batch in _rows(log, _from(log, after) if after else ()):
        for key, rows in by_stretch(batch.rows):
            newest = _after(newest, key, log)
            if first not in (None, key):
                return
            first = key
            yield key, rows


def _after(newest: Key | None, key: Key, log: Log) -> Key:
    """The step of the next rows, if it is none before that of the last ones."""
    if newest is not None and place_of(key) < place_of(newest):
        raise Disordered(f"{log.sources[0].name}: step {key[1]} of run {key[0]} comes after step {newest[1]}.")
    return key


def _parts(log: Log, size: int) -> Iterator[Part]:
    for index, source in enumerate(log.sources):
        yield from cut(source, index, size) if log.by_lines else (Part(index),)


def _from(log: Log, part: Part) -> Iterator[Part]:
    """The log from a part on, a little at a time."""
    yield from (part,) if part.size is None else lines_from(log.sources[part.source], part, AHEAD)
    yield from map(Part, range(part.source + 1, len(log.sources)))


def _rows(log: Log, parts: Iterable[Part]) -> Iterator[RowBatch]:
    assert log.read_part
    for part in parts:
        yield from log.read_part(part)


def _with_next(parts: Iterator[Part]) -> Iterator[tuple[Part, Part | None]]:
    """Each part, and the one behind it."""
    before: list[Part] = list(islice(parts, 1))
    for part in chain(parts, (None,)) if before else ():
        yield before[-1], part
        before = [part] if part else before
