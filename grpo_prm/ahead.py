"""Make the next item of an iterator while the last one is worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Go through `items` one ahead, in a thread; to read and to measure both leave the interpreter free.

    Errors of the iterator are raised where its item would have come.
    """
    source = iter(items)
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as pool:
        coming = pool.submit(_some, source)
        while item := coming.result():
            coming = pool.submit(_some, source)
            yield item[0]


def _some(source: Iterator[Any]) -> list[Any]:
    """Give the next item in a list, which is empty at the end."""
    return list(islice(source, 1))
