"""Metrics to a tracker that the user has: trackio, Weights & Biases or TensorBoard."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from ..errors import UsageError
from .config import TrainConfig

Numbers = Mapping[str, float | None]


class Tracker(NamedTuple):
    """Where metrics go.

    Attributes:
        log: Takes the step and its numbers; None is left out.
        close: Ends it.
    """

    log: Callable[[int, Numbers], None]
    close: Callable[[], None]


def open_tracker(config: TrainConfig, folder: Path) -> Tracker:
    """The tracker of the settings, or one that does nothing.

    Raises:
        UsageError: Its package is not installed.
    """
    if config.tracker is None:
        return Tracker(lambda _step, _numbers: None, lambda: None)
    try:
        if config.tracker == "tensorboard":
            writer = import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))

            def log(step: int, numbers: Numbers) -> None:
                for name, value in _known(numbers).items():
                    writer.add_scalar(name, value, step)

            return Tracker(log, writer.close)
        package = import_module(config.tracker)
    except ModuleNotFoundError as error:
        raise UsageError(
            f"--tracker {config.tracker} needs {error.name}, which is not installed. Run pip install {config.tracker}."
        ) from None
    # trackio speaks the interface of wandb
    package.init(project="grpo-prm", name=folder.name, config=asdict(config))
    return Tracker(lambda step, numbers: package.log(_known(numbers), step=step), package.finish)


def _known(numbers: Numbers) -> dict[str, float]:
    return {name: value for name, value in numbers.items() if value is not None}
