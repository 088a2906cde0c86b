"""What a container is: a name, how it knows a file, and the records that the file holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from ..rows.records import Record
from ..sources import Source


class Records(NamedTuple):
    """Some records of a file, in its order.

    Attributes:
        records: Each with its line or number; what cannot be read is a `Bad` that says why.
        size: Bytes that they came from, unpacked.
        done: Bytes of the file on disk that were consumed so far.
    """

    records: Iterable[Record]
    size: int
    done: int


class Container(NamedTuple):
    """A way in which bytes hold records.

    Attributes:
        name: What messages call it.
        claims: Whether a file is one, by its first bytes: unpacked, a whole line where that is not too long.
        open: Reads a file from the top, about so many bytes at a time.

    `open` raises InputError for a file that cannot be read at all.
    """

    name: str
    claims: Callable[[Source, bytes], bool]
    open: Callable[[Source, int], Iterator[Records]]
