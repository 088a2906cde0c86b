"""Which workers do an analysis."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal, get_args

from ..errors import UsageError
from .pools import Pool, processes

Engine = Literal["local", "ray"]


def workers_of(engine: Engine, workers: int | None, address: str | None) -> AbstractContextManager[Pool]:
    """The workers of an engine.

    Args:
        engine: `local`: processes of this machine; `ray`: a cluster.
        workers: How many; None: all cores of the cluster. `local` needs a number.
        address: Of the cluster; None: one of this machine is started.

    Raises:
        UsageError: The engine is not there, or something is given that it does not take.
    """
    if engine not in get_args(Engine):
        raise UsageError(f"engine is {engine!r}. Choose from {', '.join(get_args(Engine))}.")
    if workers is not None and workers < 1:
        raise UsageError(f"--workers {workers}: give a whole number from 1 on.")
    if engine == "ray":
        from .ray_pool import cluster

        return cluster(address, workers)
    if address:
        raise UsageError(f"--address {address}: only --engine ray has an address.")
    assert workers
    return processes(workers)
