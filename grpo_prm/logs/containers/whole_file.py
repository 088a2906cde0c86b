"""Files that must be in memory whole, read as far as memory allows."""

from __future__ import annotations

from typing import Any

from ...errors import InputError
from ..bounds import OF_VALUE, largest_value
from ..chunks import read_up_to
from ..sources import Source


def read_whole(source: Source, file: Any, start: bytes = b"") -> bytes:
    """What a file holds.

    Args:
        source: The file, for messages, and how much of it may be held.
        file: It, `unpacked`.
        start: What was read of it already.

    Raises:
        InputError: It is cut short, damaged, or too large.
    """
    limit = largest_value(source.memory)
    more, fault = read_up_to(file, max(0, limit - len(start)) + 1)
    if fault:
        raise InputError(f"{source.name}: {fault}. Get the whole file.")
    data = start + more if more else start
    if len(data) > limit:
        raise InputError(
            f"{source.name}: one JSON value of more than {limit >> 20:,} MB, which takes {OF_VALUE} times that in"
            " memory. Grant more with --memory, or write its rows as JSON lines, one object a line."
        )
    return data
