"""Token ids taken out of JSON lines: they are nearly all of a log's bytes, and need no parser of JSON.

The numbers of one list are cut out of every line and parsed as one column of a CSV, with -1 behind every list to mark
its end; what is left of the lines is short. Lines in which anything else stands are left to a parser of JSON.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

_END = b"-1"  # behind the ids of every list; no id is negative


def read_with_ids(data: bytes, path: str, wire: Mapping[str, Any]) -> tuple[pl.DataFrame, bytes] | None:
    """Parse JSON lines, each with one list of ids.

    Args:
        data: Whole lines, none of them blank.
        path: Name of the list.
        wire: Type of every column, the list among them.

    Returns:
        A row for every line with the columns of `wire`, no id negative, and the lines without the ids; None unless
        every line has that list exactly once, at the top, of nothing but whole numbers of 31 bits.
    """
    cut = _cut(data, path.encode())
    if cut is None:
        return None
    rest, numbers, lists = cut
    try:
        read = pl.read_ndjson(io.BytesIO(rest), schema=dict(wire))
        ids = _ids(numbers, lists)
    except (pl.exceptions.PolarsError, OverflowError):
        return None
    # A key that was cut out of a text or of an inner object leaves the list of its own line null.
    if ids is None or len(read) != lists or read[path].null_count():
        return None
    return read.with_columns(ids.alias(path)), rest


def _cut(data: bytes, path: bytes) -> tuple[bytes, bytes, int] | None:
    """The lines without the numbers of their lists, these numbers, and how many lists there are: one on each line."""
    # A writer puts a space behind the colon everywhere or nowhere, so the first line decides.
    opens = b'"%b":[' % path
    if opens not in data[: data.find(b"\n")]:
        opens = b'"%b": [' % path
    view = memoryview(data)  # slices of it copy nothing: the bytes are copied once, in the joins below
    rest, numbers, at = [], [], 0
    while (begin := data.find(opens, at)) >= 0:
        begin += len(opens)
        if (end := data.find(b"]", begin)) < 0:
            return None  # a list that does not end; one within a list shows in `_ids`, as its bracket is no digit
        rest.append(view[at:begin])
        numbers += [view[begin:end], _END] if end > begin else [_END]
        at = end
    rest.append(view[at:])
    short, lists = b"".join(rest), len(rest) - 1
    lines = short.count(b"\n") + (not short.endswith(b"\n"))
    # As many lists as lines, the name nowhere else, and (checked by the caller) no line without: one on each, and at
    # the top.
    if not lists or lines != lists or short.count(b'"%b"' % path) != lists:
        return None
    return short, b",".join(numbers), lists


def _ids(numbers: bytes, lists: int) -> pl.Series | None:
    """Lists of ids; None if there is more than digits, commas and spaces, or an id as JSON does not write it."""
    read = pl.read_csv(
        numbers,
        has_header=False,
        eol_char=",",
        separator=";",
        quote_char=None,
        schema={"id": pl.Int32()},
    )["id"].rechunk()
    if read.null_count():
        return None
    marked = read.to_numpy()  # int32, shape (ids + lists,): the ids with the marks between them
    ends = np.flatnonzero(marked < 0)
    spaces = np.count_nonzero(np.frombuffer(numbers, np.uint8) == ord(" ")) if b" " in numbers else 0
    # CSV takes 01, +1 and tabs, JSON does not: the length must be that of the ids written plainly, two bytes for each
    # mark (`_digits` counts one of them), the commas and the spaces. A -1 of the log is one mark too many.
    if len(ends) != lists or len(numbers) != _digits(marked) + lists + len(marked) - 1 + spaces:
        return None
    starts = np.append(0, ends[:-1] + 1)
    cuts = pl.DataFrame({"start": starts, "length": ends - starts})
    whole = pl.lit(read.implode())  # one list, cut at once: a Python object for each takes longer
    return cuts.select(whole.list.slice("start", "length").alias("ids")).to_series()


def _digits(ids: np.ndarray) -> int:
    """Digits of all ids together, and one for every mark: a pass for each power of ten up to the largest id."""
    digits, power, largest = len(ids), 10, int(ids.max(initial=0))
    while power <= largest:
        digits += int(np.count_nonzero(ids >= power))
        power *= 10
    return digits
