"""Token ids taken out of JSON lines: they are nearly all of a log's bytes, and need no parser of JSON.

The numbers of one list are cut out of every line and read by `digits`; what is left of the lines is short. Lines in
which anything else stands are left to a parser of JSON.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from .digits import DIGITS, numbers, room

BLOCK = 1 << 18  # bytes of ids that are read at a time: what is made of them stays in the cache of a core

Span = tuple[int, int]  # of the inside of a list: first byte, and the byte behind the last


class Texts(NamedTuple):
    """The inside of some lists, `BLOCK` bytes of it or a little more; lists that are longer are cut.

    Attributes:
        texts: Ids with separators between them, none empty.
        ends: Of each list that ends here, how many bytes of the joined texts stand before its end.
    """

    texts: list[memoryview]
    ends: list[int]


def read_with_ids(data: bytes, path: str, wire: Mapping[str, Any]) -> tuple[pl.DataFrame, bytes] | None:
    """Parse JSON lines, each with one list of ids.

    Args:
        data: Whole lines, none of them blank.
        path: Name of the list.
        wire: Type of every column, the list among them.

    Returns:
        A row for every line with the columns of `wire`, and the lines without the ids; None unless every line has that
        list exactly once, at the top, of nothing but whole numbers that `digits.numbers` takes.
    """
    spans = _spans(data, path.encode())
    rest = _rest(data, spans)
    # As many lists as lines, the name nowhere else, and (checked below) no line without: one on each, and at the top.
    lines = rest.count(b"\n") + (not rest.endswith(b"\n"))
    if not spans or lines != len(spans) or rest.count(b'"%b"' % path.encode()) != len(spans):
        return None
    if (ids := _ids(data, spans)) is None:
        return None
    try:
        read = pl.read_ndjson(io.BytesIO(rest), schema=dict(wire))
    except (pl.exceptions.PolarsError, OverflowError):
        return None
    # A key that was cut out of a text or of an inner object leaves the list of its own line null.
    if len(read) != len(spans) or read[path].null_count():
        return None
    return read.with_columns(ids.alias(path)), rest


def _spans(data: bytes, path: bytes) -> list[Span]:
    """The inside of the list on every line; none if a list does not end."""
    # A writer puts a space behind the colon everywhere or nowhere, so the first line decides.
    opens = b'"%b":[' % path
    if opens not in data[: data.find(b"\n")]:
        opens = b'"%b": [' % path
    spans, end = [], 0
    while (begin := data.find(opens, end)) >= 0:
        begin += len(opens)
        if (end := data.find(b"]", begin)) < 0:
            return []
        spans.append((begin, end))  # one list within another shows in `numbers`, as its bracket is no digit
    return spans


def _rest(data: bytes, spans: Sequence[Span]) -> bytes:
    """The lines without the inside of their lists."""
    view = memoryview(data)  # slices of it copy nothing
    kept, at = [], 0
    for begin, end in spans:
        kept.append(view[at:begin])
        at = end
    return b"".join([*kept, view[at:]])


def _ids(data: bytes, spans: Sequence[Span]) -> pl.Series | None:
    """The lists as int32; None if there is anything but ids in them, and separators as a writer of JSON puts them."""
    separator = _separator(data, spans)
    given = room(BLOCK + 4 * DIGITS)
    ids = np.empty(len(data) // 2 + 1, np.int32)  # more than enough; pages that are not touched take no memory
    ends, count = [], 0
    for texts in _texts(data, spans, separator):
        if (found := numbers(texts.texts, separator, given)) is None:
            return None
        values, places = found
        ends.append(count + np.searchsorted(places, texts.ends, side="right"))
        ids[count : count + len(values)] = values
        count += len(values)
    return _lists(ids[:count], np.concatenate(ends))


def _separator(data: bytes, spans: Sequence[Span]) -> bytes:
    """What stands between two ids, everywhere as it does first."""
    commas = (data.find(b",", begin, end) for begin, end in spans)
    comma = next((at for at in commas if at >= 0), 0)
    return b", " if data[comma : comma + 2] == b", " else b","


def _texts(data: bytes, spans: Sequence[Span], separator: bytes) -> Iterator[Texts]:
    """Some lists at a time."""
    view = memoryview(data)
    some, size = Texts([], []), 0
    for begin, end in spans:
        if size + end - begin > BLOCK:
            yield some
            some, size = Texts([], []), 0
        # In a list that is too long for a block the next one begins behind a separator, but the last one: what stands
        # behind that must be an id.
        while end - begin > BLOCK and (cut := data.find(separator, begin + BLOCK, end - 1)) >= 0:
            yield Texts([view[begin:cut]], [])
            begin = cut + len(separator)
        if end > begin:
            some.texts.append(view[begin:end])
            size += end - begin + len(separator)
        some.ends.append(size - len(separator))
    yield some


def _lists(ids: NDArray[np.int32], ends: NDArray[np.int64]) -> pl.Series:
    """Cut ids into lists, each with its end."""
    starts = np.append(0, ends[:-1])
    cuts = pl.DataFrame({"start": starts, "length": ends - starts})
    whole = pl.lit(pl.Series(ids).implode())  # one list, cut at once: a Python object for each takes longer
    return cuts.select(whole.list.slice("start", "length").alias("ids")).to_series()
