"""Where the tasks of an analysis run: processes of this machine."""

from __future__ import annotations

import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from importlib import import_module
from multiprocessing import get_context, parent_process
from threading import Thread
from types import ModuleType
from typing import Protocol, TypeVar

from ..errors import InputError
from ..stopping import deaf_to_interrupts, ignore_interrupts

S = TypeVar("S")
T = TypeVar("T")
# What workers find in their environment. They share the cores, so each uses one: without it every worker would start as
# many threads as there are cores. And they keep the memory that they free for the next rows: to have it zeroed anew by
# the system takes a fifth of their time (settings of glibc, and of the allocator in polars).
ENVIRONMENT = dict.fromkeys(("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ENVIRONMENT |= {"MALLOC_MMAP_THRESHOLD_": str(256 << 20), "MALLOC_TRIM_THRESHOLD_": str(512 << 20)}
ENVIRONMENT |= {"_RJEM_MALLOC_CONF": "dirty_decay_ms:60000,muzzy_decay_ms:60000"}
WAITING = 2  # tasks for each worker, running or waiting: results that come early are held
TRIES = 3  # of a task whose worker was lost


class Pool(Protocol):
    """Workers that do tasks of any kind; a task that was lost with its worker is done again."""

    workers: int

    def results(self, work: Callable[[S], T], tasks: Iterable[S]) -> Iterator[T]:
        """Do the tasks; results, and errors, come in the order of the tasks."""
        ...


class Processes:
    """Processes of this machine, each with one thread for polars, numpy and our own reading: a worker is one core.

    Args:
        workers: How many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._executor = self._new()

    def results(self, work: Callable[[S], T], tasks: Iterable[S]) -> Iterator[T]:
        """See `Pool`.

        Raises:
            InputError: A task was lost `TRIES` times with its worker.
        """
        coming: deque[tuple[S, Future[T]]] = deque()
        try:
            for task in tasks:
                coming.append((task, self._submit(work, task)))
                if len(coming) >= WAITING * self.workers:
                    yield self._next(work, coming)
            while coming:
                yield self._next(work, coming)
        finally:  # of what nobody waits for, nothing more is begun
            for _, one in coming:
                one.cancel()

    def close(self) -> None:
        """Stop the workers; what they are at is lost."""
        for process in list((self._executor._processes or {}).values()):
            process.terminate()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _next(self, work: Callable[[S], T], coming: deque[tuple[S, Future[T]]]) -> T:
        for _ in range(TRIES):
            try:
                result = coming[0][1].result()
            except BrokenProcessPool:  # one worker is gone, and all that others were at with it
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = self._new()
                again = [(task, self._submit(work, task)) for task, _ in coming]
                coming.clear()
                coming.extend(again)
            else:
                coming.popleft()
                return result
        raise InputError(
            f"A worker was killed {TRIES} times at the same rows, as happens where memory is short. Give --workers a"
            " smaller number, or --memory."
        )

    def _submit(self, work: Callable[[S], T], task: S) -> Future[T]:
        with _start_of_workers(), deaf_to_interrupts():
            try:
                return self._executor.submit(work, task)
            except BrokenProcessPool as error:  # a worker is gone already: as if it had been at this task
                lost: Future[T] = Future()
                lost.set_exception(error)
                return lost

    def _new(self) -> ProcessPoolExecutor:
        # Not forked: threads of polars would hold locks that nobody opens in the copy.
        executor = ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"), initializer=_begin)
        # Now, so that they start beside what is done until the first task.
        with _start_of_workers(), deaf_to_interrupts():
            for _ in range(self.workers):
                executor.submit(imported)
        return executor


def imported() -> None:
    """Import what the tasks need, which takes longer than to start a process."""
    import_module(".measuring", __package__)
    gc.freeze()  # what was imported stays, so the collector need not go through it again and again


def _begin() -> None:
    """A worker begins: Ctrl-C is for the command, which then stops the workers, and none outlives it."""
    ignore_interrupts()
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if parent := parent_process():
        parent.join()
        os._exit(1)


@contextmanager
def processes(workers: int) -> Generator[Processes]:
    """Processes that end with the block."""
    pool = Processes(workers)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def _start_of_workers() -> Generator[None]:
    """What processes that start now find: `ENVIRONMENT`, and no script that they would run once more."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        with environment():
            yield
    finally:
        sys.modules["__main__"] = script


@contextmanager
def environment() -> Generator[None]:
    """`ENVIRONMENT` for processes that start now; this one has read it long before."""
    before = {name: os.environ.get(name) for name in ENVIRONMENT}
    os.environ.update(ENVIRONMENT)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value
