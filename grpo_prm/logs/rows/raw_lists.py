"""Lists of numbers as they stand in JSON, to arrays: without a Python object for each of millions of tokens.

A format that nests leaves its lists undecoded (`msgspec.Raw`, which is known to be JSON). Lists that follow one another
in a sequence are joined as text first, so that one pass reads them all.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import numpy as np

from .values import Bad

EMPTY = msgspec.Raw(b"[]")
_BLANKS = b" \t\r\n"
_FLOATS = msgspec.json.Decoder(list[float | None])


def joined(lists: Iterable[msgspec.Raw], field: str) -> bytes:
    """The items of several JSON lists as one text, with commas between them; null counts as an empty list.

    Raises:
        Bad: One of them is no list.
    """
    inner = []
    for raw in lists:
        if raw is EMPTY:
            continue
        view = memoryview(raw)  # a slice of it copies nothing
        if view[0] == ord("["):
            if len(view) > len("[]"):
                inner.append(view[1:-1])
        elif view != b"null":
            raise Bad(field, f"expected a list, got {bytes(view[:30]).decode('utf-8', 'replace')}")
    return b",".join(inner)


def integers(items: bytes, field: str) -> np.ndarray:
    """Whole numbers as int64, shape (items,); those beyond int64 as its ends.

    Raises:
        Bad: There is anything else in it.
    """
    if odd := items.translate(None, b"-0123456789,"):
        if odd.strip(_BLANKS):
            raise Bad(field, "expected whole numbers only")
        items = items.translate(None, _BLANKS)
    return np.fromstring(items, np.int64, sep=",") if items else np.zeros(0, np.int64)


def flags(items: bytes, field: str) -> np.ndarray:
    """Words true and false, or 1 and 0, as bool, shape (items,).

    Raises:
        Bad: There is anything else in it.
    """
    if items.lstrip(_BLANKS)[:1] not in (b"t", b"f"):
        values = integers(items, field)
        if ((values != 0) & (values != 1)).any():
            raise Bad(field, "expected 0 and 1 only")
        return values.astype(bool)
    if items.translate(None, b"truefals,").strip(_BLANKS):
        raise Bad(field, "expected true and false only")
    letters = np.frombuffer(items, np.uint8)
    true = letters == ord("t")  # true has one t, false none, and an f stands in false alone
    return true[true | (letters == ord("f"))]


def floats(items: bytes, field: str) -> np.ndarray:
    """Numbers as float64, null as NaN, shape (items,).

    Raises:
        Bad: There is anything else in it.
    """
    try:
        return np.array(_FLOATS.decode(b"[" + items + b"]"), np.float64)
    except msgspec.DecodeError as error:
        raise Bad(field, f"expected numbers ({error})") from None


def constant(items: bytes, number: int) -> float | None:
    """The number that a list repeats so many times, and nothing else; None of any other list."""
    if b" " in items[:64]:
        items = items.translate(None, _BLANKS)
    first = items.partition(b",")[0]
    if items != b",".join([first] * number):
        return None
    try:
        return float(first)
    except ValueError:
        return None
