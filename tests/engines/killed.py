"""Tasks for workers that are lost at them."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import NamedTuple


class Task(NamedTuple):
    """A number to be squared by a worker that is killed at it, once if `once`, or never."""

    number: int
    killed: str | None = None
    once: bool = True


def square(task: Task) -> int:
    """The square, if nothing kills the worker before."""
    if task.killed is not None and not (task.once and Path(task.killed).exists()):
        Path(task.killed).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return task.number**2


def fails(task: Task) -> int:
    """What goes wrong in a worker goes wrong where its result is wanted."""
    from grpo_prm.errors import InputError

    raise InputError(f"no {task.number}")


def threads(_task: Task) -> int:
    """Threads that polars has in a worker."""
    import polars as pl

    return pl.thread_pool_size()


def process(_task: Task) -> int:
    """The process of a worker."""
    return os.getpid()
