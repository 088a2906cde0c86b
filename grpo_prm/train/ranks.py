"""More than one process: each takes whole groups, and accelerate adds up what they find (start them with torchrun).

Every process holds the same model and, once it is sampled, the whole batch; weights and normalisers are those of the
whole, so the sum of the gradients is the gradient of one process. Alone, every function returns what it was given.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.utils import gather_object, reduce

Row = TypeVar("Row")
PATIENCE = timedelta(hours=6)  # one process may load a model, or wait for slow rewards, while the others wait for it


def join(device: str) -> None:
    """Meet the processes that torchrun started; to be called before anything else here.

    Args:
        device: As in `TrainConfig`; on `cpu` a GPU is left alone.
    """
    PartialState(cpu=device == "cpu" or not torch.cuda.is_available(), timeout=PATIENCE)


def leave() -> None:
    """Leave the other processes at the end, so that they may end too."""
    PartialState().destroy_process_group()


def count() -> int:
    """How many processes there are."""
    return PartialState().num_processes


def local_count() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", count()))  # as torchrun and accelerate leave it


def leads() -> bool:
    """Is this the process that writes and speaks?"""
    return PartialState().is_main_process


def leader_first() -> AbstractContextManager[None]:
    """The process that leads does what stands inside before the others, which may find it done (a cache, a folder)."""
    return PartialState().main_process_first()


def own_device() -> torch.device:
    """The device of this process: a GPU of its own where there are several."""
    return torch.device(PartialState().device or "cpu")


def share(number: int) -> range:
    """Which of so many groups this process takes: a run of them, as long as that of others or one longer."""
    # cut at equal shares of the number, rounded down: lengths differ by one at most, and none is left over
    state = PartialState()
    first, last = (number * n // state.num_processes for n in (state.process_index, state.process_index + 1))
    return range(first, last)


def gathered(rows: list[Row]) -> list[Row]:
    """The rows of all processes, in the order of `share`."""
    return gather_object(rows)


def add_up(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Have every process hold the sum of all gradients; every process has one for the same parameters."""
    if count() == 1:
        return
    # the sum, not the mean: each process has its part of one loss that is normalised over the whole batch
    for parameter in parameters:
        if parameter.grad is not None:
            parameter.grad = reduce(parameter.grad, "sum")
