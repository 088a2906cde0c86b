"""A log opened again by a worker: files and options travel, what is found in them does not."""

from __future__ import annotations

import pickle
from functools import lru_cache
from typing import NamedTuple

from ..logs.bounds import granted
from ..logs.options import ReadOptions
from ..logs.sources import Source
from ..logs.stream import Logs, open_all


class Opening(NamedTuple):
    """What a worker needs to open the logs as the coordinator did.

    Attributes:
        sources: Their files, in reading order.
        options: How to read; without progress, which is the coordinator's.
        workers: How many share the memory that may be planned with.
    """

    sources: tuple[Source, ...]
    options: ReadOptions
    workers: int = 1

    @property
    def memory(self) -> int:
        """Bytes that a worker may plan with."""
        return granted(self.options.memory) // self.workers

    def logs(self) -> Logs:
        """The logs; opened once in each process."""
        return _opened(pickle.dumps(self))


@lru_cache(maxsize=4)
def _opened(pickled: bytes) -> Logs:
    opening: Opening = pickle.loads(pickled)  # noqa: S301 - our own, made two lines above
    return open_all(opening.sources, opening.options)
