"""Make the next items of an iterator while the last one is worked on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from itertools import islice
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")
# Is polars to have one thread, as in workers, which have a core each? Then we have one, too.
ONE_THREAD = os.environ.get("POLARS_MAX_THREADS") == "1"


def prefetch(items: Iterable[T]) -> Iterator[T]:
    """Go through `items`, each made in a thread while the one before is worked on.

    It pays because reading and measuring both let go of the interpreter's lock. Errors of the iterator are raised where
    its item would have come. Whoever stops early does not wait for the item on its way, so that Ctrl-C ends a command
    whose input is slow. A process of one thread makes each when it is asked for.
    """
    if ONE_THREAD:
        yield from items
        return
    source = iter(items)
    with _threads(1) as start:
        coming = start(lambda: list(islice(source, 1)))
        while item := coming.result():
            coming = start(lambda: list(islice(source, 1)))
            yield item[0]


def parallel(work: Callable[[S], T], items: Iterable[S], threads: int = 2) -> Iterator[T]:
    """Work on `threads` items at a time; the results, and errors, come in the order of the items.

    A process of one thread works on one.
    """
    if ONE_THREAD:
        yield from map(work, items)
        return
    coming: deque[Future[T]] = deque()
    with _threads(threads) as start:
        for item in items:
            coming.append(start(partial(work, item)))
            if len(coming) >= threads:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()


@contextmanager
def _threads(number: int) -> Generator[Callable[[Callable[[], Any]], Future[Any]]]:
    """Threads that no one waits for, and the function that has one of them do some work.

    (An executor would be waited for, and may lock up when an iterator left behind is collected in one of its own
    threads. A thread for each item would find its memory cold.)
    """
    jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()

    def start(work: Callable[[], Any]) -> Future[Any]:
        coming: Future[Any] = Future()
        jobs.put((work, coming))
        return coming

    for _ in range(number):
        Thread(target=_work_off, args=(jobs,), name="prefetch", daemon=True).start()
    try:
        yield start
    finally:
        for _ in range(number):
            jobs.put(None)


def _work_off(jobs: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None]) -> None:
    while job := jobs.get():
        work, coming = job
        try:
            coming.set_result(work())
        except BaseException as error:
            coming.set_exception(error)
        del job, work, coming  # what was made belongs to whoever waits for it
