"""A long table read in chunks: sums over its rows that depend on nothing but their order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

CHUNK = 1 << 16  # rows


def chunks(parts: Sequence[pl.LazyFrame], columns: Sequence[str]) -> Iterator[pl.DataFrame]:
    """Columns of a table, `CHUNK` rows at a time, the last ones fewer, however it is cut into parts.

    Args:
        parts: The table, one part below the other.
        columns: Which to read; the others are not touched.
    """
    held: list[pl.DataFrame] = []
    rows = 0
    for part in parts:
        some, begin = part.select(columns), 0
        while len(piece := some.slice(begin, CHUNK).collect()):
            held.append(piece)
            begin, rows = begin + len(piece), rows + len(piece)
            if rows >= CHUNK:
                whole = pl.concat(held, how="vertical_relaxed")
                yield whole[:CHUNK]
                held, rows = [whole[CHUNK:]], rows - CHUNK
            if len(piece) < CHUNK:
                break
    if rows:
        yield pl.concat(held, how="vertical_relaxed")


def columns_read(*expressions: pl.Expr) -> list[str]:
    """The columns that expressions read, each once."""
    return list(dict.fromkeys(name for one in expressions for name in one.meta.root_names()))


def added_up(parts: Sequence[pl.LazyFrame], expressions: Sequence[pl.Expr]) -> dict[str, Any]:
    """Sums over a table: each expression gives one number of a chunk, and those of the chunks are added in order.

    Args:
        parts: As for `chunks`.
        expressions: With names; null counts as 0.
    """
    sums: dict[str, Any] = {}
    for chunk in chunks(parts, columns_read(*expressions)):
        for name, value in chunk.select(expressions).row(0, named=True).items():
            sums[name] = sums[name] + (value or 0) if name in sums else (value or 0)
    return sums


def largest(parts: Sequence[pl.LazyFrame], column: str) -> Any:
    """The largest value of a column; None where there is none."""
    found = [chunk[column].max() for chunk in chunks(parts, [column])]
    return max((value for value in found if value is not None), default=None)
