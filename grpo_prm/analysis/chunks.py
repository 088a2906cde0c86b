"""A long table read in chunks: sums over its rows that depend on nothing but their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

CHUNK = 1 << 16  # rows


Part = pl.LazyFrame | pl.DataFrame
Parts = Sequence[Part]  # a table, one part below the other


def chunks(table: Parts | pl.DataFrame, columns: Sequence[str], where: pl.Expr | None = None) -> Iterator[pl.DataFrame]:
    """Columns of a table, `CHUNK` rows at a time, the last ones fewer, however it is cut into parts.

    Args:
        table: The table.
        columns: Which to read; the others are not touched.
        where: Rows of a chunk to keep; None: all.
    """
    parts = [table] if isinstance(table, pl.DataFrame) else table
    read = list(dict.fromkeys([*columns, *(where.meta.root_names() if where is not None else ())]))
    for chunk in _cut(parts, read):
        # In one piece: polars adds a column up in another order where it stands in several.
        kept = chunk if where is None else chunk.filter(where)
        yield (kept if kept.columns == list(columns) else kept[list(columns)]).rechunk()  # no query for it


def _cut(parts: Parts, read: list[str]) -> Iterator[pl.DataFrame]:
    held: list[pl.DataFrame] = []
    rows = 0
    for part in parts:
        begin = 0
        while len(piece := _piece(part, read, begin)):
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


def _piece(part: Part, read: list[str], begin: int) -> pl.DataFrame:
    if isinstance(part, pl.DataFrame):  # a query takes a millisecond, which is long for a small log
        return part[begin : begin + CHUNK, read]
    return part.select(read).slice(begin, CHUNK).collect()


def columns_read(*expressions: pl.Expr) -> list[str]:
    """The columns that expressions read, each once."""
    return list(dict.fromkeys(name for one in expressions for name in one.meta.root_names()))


def added_up(
    table: Parts | pl.DataFrame, expressions: Mapping[str, pl.Expr], where: pl.Expr | None = None
) -> dict[str, Any]:
    """Sums over a table: each expression gives one number of a chunk, and those of the chunks are added in order.

    Args:
        table: As for `chunks`.
        expressions: By name, each reads a column; null counts as 0.
        where: As for `chunks`.
    """
    named = [expression.alias(name) for name, expression in expressions.items()]
    sums: dict[str, Any] = {}
    for chunk in chunks(table, columns_read(*named), where):
        for name, value in chunk.select(named).row(0, named=True).items():
            sums[name] = sums[name] + (value or 0) if name in sums else (value or 0)
    return sums or dict.fromkeys(expressions, 0)


def first_rows(
    table: Parts | pl.DataFrame, columns: Sequence[str], chosen: Callable[[pl.DataFrame], pl.DataFrame]
) -> pl.DataFrame:
    """The rows that a choice makes of a whole table, chunk by chunk: its own rows and the next chunk, again and again.

    Args:
        table: As for `chunks`.
        columns: What the choice reads, and what is given back.
        chosen: Some rows of a table in an order; of equals those that stand first.
    """
    kept: list[pl.DataFrame] = []
    for chunk in chunks(table, columns):
        kept = [chosen(pl.concat([*kept, chunk], how="vertical_relaxed"))]
    return kept[0]


def largest(table: Parts | pl.DataFrame, column: str) -> Any:
    """The largest value of a column; None where there is none."""
    found = [chunk[column].max() for chunk in chunks(table, [column])]
    return max((value for value in found if value is not None), default=None)


def counted(table: Parts | pl.DataFrame, column: str) -> Counter[Any]:
    """How often each value of a column comes."""
    values: Counter[Any] = Counter()
    for chunk in chunks(table, [column]):
        values.update(dict(chunk[column].value_counts().iter_rows()))
    return values
