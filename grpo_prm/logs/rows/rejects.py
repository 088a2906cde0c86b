"""Rows that cannot be used, as a table: where each stands, what is wrong with it, and how it begins."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
import polars as pl

from ..rollouts import REJECTED
from ..sources import Source

RAW = 200  # characters of a rejected row that are kept


def reject_frame(rows: list[tuple[str, int | None, str, str, str]]) -> pl.DataFrame:
    """Rejected rows (file, line, field, reason, raw start) as a table."""
    return pl.DataFrame(rows, REJECTED, orient="row")


def rejected_rows(rows: pl.DataFrame, sources: Sequence[Source], field: str, reason: str) -> pl.DataFrame:
    """Rows that were read, but are rejected after all.

    Args:
        rows: Columns of `records.row_schema`, any number of rows.
        sources: Files of the log.
        field: Canonical column that is wrong, `""` for the row as a whole.
        reason: What is wrong with every one of them.

    Returns:
        `rollouts.REJECTED`, one row for each.
    """
    names = np.array([s.name for s in sources], object)
    return rows.select(
        pl.Series("file", names[rows["_file"].to_numpy()], pl.String()),
        pl.col("_line").alias("line"),
        pl.lit(field).alias("field"),
        pl.lit(reason).alias("reason"),
        _start_of_text(rows).alias("raw"),
    ).cast(REJECTED)  # ty: ignore


def raw_start(raw: Any) -> str:
    """The start of a row as it stands in the log."""
    # A character has up to four bytes, and a cut in the middle of one must not be an error.
    if isinstance(raw, bytes):
        return raw[: 4 * RAW].decode("utf-8", "replace")[:RAW]
    text = raw if isinstance(raw, str) else _start_of_json(raw)
    return text.encode("utf-8", "replace").decode()[:RAW]


def _start_of_json(value: Any) -> str:
    """The start of a value as JSON; the rest, of a whole file maybe, is not written for it."""
    written, pieces = 0, []
    with suppress(RecursionError):  # nested too deeply to be written, and its start is enough
        for piece in json.JSONEncoder(default=str, ensure_ascii=False).iterencode(value):
            pieces.append(piece)
            written += len(piece)
            if written >= RAW:
                break
    return "".join(pieces)[:RAW]


def _start_of_text(rows: pl.DataFrame) -> pl.Series:
    """The completion, or its first ids: the bytes of the log are gone by now."""
    text = (
        rows["completion"]
        if "completion" in rows.columns
        else rows["tokens"].list.head(20).cast(pl.List(pl.String)).list.join(" ")
    )
    return text.str.slice(0, RAW).fill_null("")
