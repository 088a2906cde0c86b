"""How many CPU threads a run computes with, and why: one of the small models, else as many as cores are free.

With more threads than free cores each waits at every sum for the one that has no core, and a step takes a hundred times
as long. Another number adds in another order, so a run keeps the number that it began with.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from .. import machine
from . import ranks
from .config import TrainConfig
from .config_file import read_settings
from .policy import device_of

# What reward functions start, and tokenizers, which make their pool of threads when they are first used.
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS", "POLARS_MAX_THREADS")


class Threads(NamedTuple):
    """Threads of a process.

    Attributes:
        number: How many.
        why: In words, to stand behind the number.
        config: The settings of the run, with the number where it is the machine's: what goes on elsewhere keeps it.
        note: A sentence where the number is more than the machine has cores for; else empty.
    """

    number: int
    why: str
    config: TrainConfig
    note: str = ""


def choose(config: TrainConfig, *, resume: bool = False) -> Threads:
    """Threads of each process of a run; all take the number of the one that leads.

    Args:
        config: The settings; `threads` overrules everything.
        resume: The run in `out` goes on, with the number that its config.yaml has.
    """
    if resume and config.threads is None:
        config = replace(config, threads=_recorded(Path(config.out)))
    return ranks.gathered([_choose(config)])[0]


@contextmanager
def using(number: int) -> Generator[None]:
    """Compute with so many threads inside, and let what is started there do so; afterwards as before.

    Pools that the environment bounds already are left as they are.
    """
    before, added = torch.get_num_threads(), [name for name in POOLS if name not in os.environ]
    torch.set_num_threads(number)
    os.environ.update(dict.fromkeys(added, str(number)))
    try:
        yield
    finally:
        torch.set_num_threads(before)
        for name in added:
            os.environ.pop(name, None)


def _choose(config: TrainConfig) -> Threads:
    if config.threads:
        return Threads(config.threads, "as the settings have it", config, _crowded(config))
    if not config.model:
        return Threads(1, "a small model: the same digits, however busy the machine is", config)
    cores, here = machine.cores(), ranks.local_count()
    shared = f", for {here} processes" if here > 1 else ""
    if device_of(config).type != "cpu":
        # It feeds the GPU and no more, so nothing is measured and nothing recorded.
        number = max(1, min(torch.get_num_threads(), int(cores / here)))
        return Threads(number, f"{_cores(cores)}{shared}; the GPU computes", config)
    free = machine.free_cores()
    number = max(1, min(free // here, _bound(here)))
    why = f"{_cores(cores)}, {'all' if free >= cores else free} free at the start{shared}"
    return Threads(number, why, replace(config, threads=number))


def _bound(here: int) -> int:
    """The most threads that torch was left with: by OMP_NUM_THREADS, by what this process set, by its own judgement."""
    # Of several processes torchrun puts each on one thread unless told otherwise, whatever the machine has.
    by_torchrun = here > 1 and os.environ.get("OMP_NUM_THREADS") == "1"
    return os.cpu_count() or 1 if by_torchrun else torch.get_num_threads()


def _crowded(config: TrainConfig) -> str:
    """A sentence where the settings have more threads than this machine has cores."""
    cores, wanted = machine.cores(), (config.threads or 1) * ranks.local_count()
    if wanted <= max(1, cores) or device_of(config).type != "cpu":
        return ""
    return (
        f"{wanted} threads have {_cores(cores)} here, which makes steps many times slower. They are what the run began"
        f" with or was given; --threads {max(1, int(cores / ranks.local_count()))} is quicker, with other last digits."
    )


def _recorded(folder: Path) -> int | None:
    """Threads that a run began with; None where it has none or is not there, which is refused later."""
    path = folder / "config.yaml"
    return read_settings(path).get("threads") if path.is_file() else None


def _cores(number: float) -> str:
    return f"{number:.3g} core{'s' * (number != 1)}"
