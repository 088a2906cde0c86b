"""Rows in memory as a log: put in a temporary file, so that they are read as a file with these rows would be."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..scratch import scratch
from .sources import Source

NAME = "rows in memory"  # what messages and `source.files` call them
RUN = "rows"
IDS = "for a column of token ids write tokens in place of completion"  # behind what names a column


def columns_option(name: str, columns: Mapping[str, str]) -> str:
    """How a user names columns: on the command line, or in Python where rows in memory are read.

    Args:
        name: The file, as messages call it.
        columns: Canonical column to column of the log.
    """
    if name == NAME:
        return f"reading=grpo_prm.ReadOptions(columns={json.dumps(columns)})"
    return "--columns " + ",".join(f"{column}={path}" for column, path in columns.items())


@contextmanager
def rows_as_source(
    rows: pl.DataFrame | pl.LazyFrame | Iterable[Mapping[str, Any]], run: str | None
) -> Generator[Source]:
    """Give the rows as a source that can be read as often as needed, until the block ends.

    Args:
        rows: A table (becomes parquet), or one mapping per row (become JSON lines). Arrays and tensors of numpy, torch
            and the like are lists there, dates are text.
        run: Name of the run of rows that do not name their own; None: `RUN`.

    Raises:
        InputError: A value has no form in a file; the message names row and column.
    """
    with scratch() as folder:
        if isinstance(rows, pl.DataFrame | pl.LazyFrame):
            path = Path(folder, "rows.parquet")
            _write_table(rows, path)
        else:
            path = Path(folder, "rows.jsonl")
            with path.open("w", encoding="utf-8") as file:
                file.writelines(_line(number, row) for number, row in enumerate(rows, 1))
        yield Source(path, NAME, run or RUN, path.stat().st_size)


def _write_table(rows: pl.DataFrame | pl.LazyFrame, path: Path) -> None:
    try:
        rows.lazy().sink_parquet(path, compression="lz4")
    except pl.exceptions.PanicException:  # of a column of Python objects
        raise InputError(f"{NAME}: a column holds Python objects. Cast it to text, numbers or lists.") from None
    except pl.exceptions.PolarsError as error:
        raise InputError(f"{NAME}: the table cannot be written ({error}). Cast or drop such columns.") from None


def _line(number: int, row: Mapping[str, Any]) -> str:
    # json and not orjson: NaN stays NaN, so that a reward of NaN is rejected as one and not as missing.
    try:
        return json.dumps(dict(row), default=_plain) + "\n"
    except (TypeError, ValueError, RecursionError):
        field, value = next((item for item in row.items() if not _can_be_written(*item)), ("", row))
        raise InputError(
            f"{NAME}:{number}: {field}: holds what no JSON can ({type(value).__name__})."
            " Give text, numbers, true or false, lists, arrays or dicts with names of text."
        ) from None


def _can_be_written(field: Any, value: Any) -> bool:
    try:
        json.dumps({field: value}, default=_plain)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _plain(value: Any) -> Any:
    """What JSON does not know as what it does."""
    if hasattr(value, "tolist"):  # arrays and scalars of numpy, tensors of torch
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
