"""Groups of a canonical log whose rows stand in several files of one step: ranks, parts, and files written twice.

A group is named by run, step and key. Its number tells several draws of one key apart inside a file only, as every rank
counts from 0. So a part (the rows of one file, key and number) is a group by itself, or belongs to a draw of its key
that has no part in its file yet. A sample of both with other content is proof that it is another draw; a sample of both
with the same content is written twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from .done import once

_JOINED = "Parts of one group stand in several files ({}): they were joined by their key."
_DRAWN_AGAIN = "One key stands in several files with samples of one number that differ ({}): each is a draw, a group."
_DOUBT = "A key of several draws has parts in several files ({}): they were put together by number, else by order."


@dataclass(slots=True)
class _Draw:
    """A draw of a key as far as the files so far tell: its parts, and the content of its samples."""

    number: str
    files: set[int] = field(default_factory=set)
    content: dict[str, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Part:
    """The rows of one file, key and number: place in the table and sample of each, and the content of its samples."""

    file: int
    number: str
    rows: list[tuple[int, str | None]] = field(default_factory=list)
    content: dict[str, int] = field(default_factory=dict)


def with_draws(rows: pl.DataFrame, noted: dict[str, str]) -> tuple[pl.DataFrame, pl.DataFrame, tuple[str, ...]]:
    """Number the draws of each key over all files.

    Args:
        rows: Whole steps of a canonical log: `run`, `key`, `group` (its number, as text), `_file`, `_line`, and where
            logged `step` and `sample`.
        noted: Notes that were given already, by kind; grows.

    Returns:
        The rows with `group` equal in two rows of one run, step and key if they are of one draw; the rows that stand in
        several files with one sample number and the same content, but for the first of each; notes.
    """
    by = [c for c in ("run", "step", "key") if c in rows.columns]
    files = rows.select(pl.col("_file").n_unique().over(by)).to_series().to_numpy()
    if (files <= 1).all():  # most logs: the numbers are right as they are
        return rows, rows.clear(), ()
    at = np.flatnonzero(files > 1)
    some = rows[at]
    groups, copies = rows["group"].to_list(), np.zeros(len(rows), bool)
    notes: dict[str, str] = {}
    for name, parts in _parts(some, by):
        for part, draw, again in _assigned(parts, name, notes):
            for row, _ in part.rows:
                groups[at[row]] = str(draw)
            copies[at[again]] = True
    told = tuple(said for note, example in notes.items() for said in once(noted, note, note.format(example)))
    rows = rows.with_columns(pl.Series("group", groups, pl.String()))
    return rows.filter(~copies), rows.filter(copies), told


def _parts(rows: pl.DataFrame, by: list[str]) -> Iterator[tuple[str, list[_Part]]]:
    """The parts of each key, in the order of the log, under a name for notes."""
    written = [c for c in rows.columns if c not in ("_file", "_line", "group")]
    same = rows.select(written).with_row_index("_row").group_by(written, maintain_order=True).agg("_row")["_row"]
    content = np.empty(len(rows), np.int64)  # equal in rows that say the same
    content[same.list.explode(empty_as_null=False).to_numpy()] = np.repeat(np.arange(len(same)), same.list.len())
    samples = rows["sample"].to_list() if "sample" in rows.columns else [None] * len(rows)
    keys: dict[tuple, dict[tuple[int, str], _Part]] = {}
    names = rows.select(by).iter_rows()
    parts = rows.select("_file", "group").iter_rows()
    for row, (key, part, sample) in enumerate(zip(names, parts, samples, strict=True)):
        mine = keys.setdefault(key, {}).setdefault(part, _Part(*part))
        mine.rows.append((row, sample))
        if sample is not None:
            mine.content.setdefault(sample, int(content[row]))
    for key, of_key in keys.items():
        step = f"step {key[1]}, " if "step" in by else ""
        ordered = sorted(of_key.values(), key=lambda part: (part.file, part.rows[0]))
        yield f"{step}{key[-1]}", ordered


def _assigned(parts: list[_Part], name: str, notes: dict[str, str]) -> Iterator[tuple[_Part, int, list[int]]]:
    """The draw of each part of a key, and its rows that the draw has already."""
    draws: list[_Draw] = []
    for part in parts:
        fitting = [n for n, draw in enumerate(draws) if part.file not in draw.files and _agree(part, draw)]
        # Best first: most samples that say the same, then the same number, then the order of the log.
        fitting.sort(key=lambda n: (-_equal(part, draws[n]), draws[n].number != part.number))
        if not fitting:
            if any(part.file not in draw.files for draw in draws):
                notes.setdefault(_DRAWN_AGAIN, name)
            fitting = [len(draws)]
            draws.append(_Draw(part.number))
        draw = draws[fitting[0]]
        equal = _equal(part, draw)
        if fitting[1:] and not equal:
            notes.setdefault(_DOUBT, name)
        if draw.files and equal < len(part.rows):
            notes.setdefault(_JOINED, name)
        yield part, fitting[0], [row for row, sample in part.rows if sample in draw.content]
        draw.files.add(part.file)
        draw.content = part.content | draw.content


def _agree(part: _Part, draw: _Draw) -> bool:
    """Does no sample of both say two things?"""
    return all(draw.content.get(sample, content) == content for sample, content in part.content.items())


def _equal(part: _Part, draw: _Draw) -> int:
    """Number of samples of both."""
    return len(part.content.keys() & draw.content.keys())
