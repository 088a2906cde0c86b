"""Make the next item of an iterator while the last one is worked on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from itertools import islice
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """Go through `items` one ahead, in a thread; to read and to measure both leave the interpreter free.

    Errors of the iterator are raised where its item would have come. Whoever stops early does not wait for the item
    on its way, so that Ctrl-C ends a command whose input is slow. (An executor would make them wait, and may lock up
    when an iterator left behind is collected in one of its own threads.)
    """
    source = iter(items)
    coming = _start(source)
    while item := coming.result():
        coming = _start(source)
        yield item[0]


def _start(source: Iterator[Any]) -> Future[list[Any]]:
    """Begin to make the next item; the result is a list of it, which is empty at the end."""
    coming: Future[list[Any]] = Future()

    def fill() -> None:
        try:
            coming.set_result(list(islice(source, 1)))
        except BaseException as error:
            coming.set_exception(error)

    Thread(target=fill, name="ahead", daemon=True).start()
    return coming
