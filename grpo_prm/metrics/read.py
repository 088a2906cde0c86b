"""Metrics of a run from wherever they are: a file or folder that is named, or what lies beside its rollouts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError
from .own_run import METRICS, read_own_run
from .series import Metrics
from .tensorboard import event_files, read_tensorboard
from .trainer_state import read_trainer_state, states_of
from .wandb_offline import read_wandb, run_files


class Found(NamedTuple):
    """A source of metrics in a folder.

    Attributes:
        files: Its files.
        read: Reads them.
    """

    files: list[Path]
    read: Callable[[], Metrics]


def read_metrics(path: Path) -> Metrics:
    """Read the metrics of a run.

    Args:
        path: `metrics.jsonl` or other JSON lines with `step`, a trainer_state.json, an event file of TensorBoard, a run
            file of W&B, or a folder that holds one of these: a run folder of `grpo-prm train`, the output folder of a
            trainer, a folder of event files, a `wandb` folder or one of its runs. Of several kinds the first in this
            order is read, and the notes name the others.

    Raises:
        InputError: There are none, or they cannot be read.
        UsageError: A package is not installed, or a `wandb` folder has several runs.
    """
    if not path.is_dir():
        return _read_file(path)
    found = list(sources_in(path))
    if not found:
        raise InputError(
            f"{path}: holds no metrics.jsonl, trainer_state.json, event files of TensorBoard or runs of W&B. Name the "
            "file or folder that does."
        )
    metrics = found[0].read()
    also = [str(other.files[0].relative_to(path)) for other in found[1:]]
    return metrics._replace(notes=(*metrics.notes, *(f"{name} is there too, and not read." for name in also)))


def _read_file(path: Path) -> Metrics:
    if path.suffix == ".wandb":
        return read_wandb([path])
    if "tfevents" in path.name:
        return read_tensorboard([path])
    return read_trainer_state([path]) if path.suffix == ".json" else read_own_run(path)


def sources_in(folder: Path) -> Iterator[Found]:
    """The sources of metrics in a folder, those first that are surest to be of this run."""
    if (own := folder / METRICS).is_file():
        yield Found([own], lambda: read_own_run(own))
    if states := states_of(folder):
        yield Found(states, lambda: read_trainer_state(states))
    # Where our trainer and transformers keep them.
    for place in (folder, folder / "tensorboard", folder / "runs"):
        if events := event_files(place):
            yield Found(events, lambda events=events: read_tensorboard(events))
            break
    for place in (folder, folder / "wandb"):
        if runs := run_files(place):
            yield Found(runs, lambda runs=runs: read_wandb(runs))
            break
