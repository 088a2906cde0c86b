"""Metrics of TensorBoard: the scalars of event files, read with the tensorboard package."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..text.amounts import amount, listed
from .series import Metrics, Row, made_of, trainer_names

EVENTS = "*tfevents*"
SCALARS = "scalars"  # the plugin whose values are metrics
FRAME = 16  # bytes around a record: its length, and two checksums


def event_files(folder: Path) -> list[Path]:
    """Event files in a folder, else those in the folders in it (a start of transformers makes one each), oldest first.

    Their names begin with the second of their start: `events.out.tfevents.1700000000.host.1.0`.
    """
    found = [path for path in folder.glob(EVENTS) if path.is_file()]
    found = found or [path for path in folder.glob(f"*/{EVENTS}") if path.is_file()]
    return sorted(found, key=lambda path: path.name)


def read_tensorboard(files: list[Path]) -> Metrics:
    """Read the scalars of a run; each file is a start of the training.

    Args:
        files: Event files of one run, oldest first.

    Raises:
        UsageError: The tensorboard package is not installed.
        InputError: A file cannot be read, or there are no scalars.
    """
    rows: list[Row] = []
    notes = []
    for session, path in enumerate(files):
        read = 0
        for record in _records(path):
            rows += _scalars(session, record)
            read += len(record) + FRAME
        # The package ends without a word where a record is cut or its checksum is wrong.
        if read < path.stat().st_size:
            notes.append(f"{path.name}: cut or damaged after byte {read:,}, read up to there.")
    if not rows:
        raise InputError(f"{files[0]}: no scalars in {amount(len(files), 'event file')}. Name another folder.")
    folders = sorted({path.parent.name for path in files})
    if len(files) > 1:
        where = f" in {listed(folders)}" if len(folders) > 1 else ""
        notes.append(f"{len(files)} event files{where}, taken as starts of one run.")
    return made_of("TensorBoard", files, trainer_names(rows, "train/epoch"), notes)


def _records(path: Path) -> Iterator[bytes]:
    try:
        loader: Any = import_module("tensorboard.backend.event_processing.event_file_loader")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path}: reading it needs {error.name}, which is not installed. Run pip install tensorboard."
        ) from None
    try:
        with path.open("rb"):  # its own errors name no reason
            yield from loader.RawEventFileLoader(str(path)).Load()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check who may read it.") from None


def _scalars(session: int, record: bytes) -> Iterator[Row]:
    messages: Any = import_module("tensorboard.compat.proto.event_pb2")
    event = messages.Event.FromString(record)
    for value in event.summary.value:
        if (number := _number(value)) is not None and value.tag != "train/global_step":
            yield Row(session, event.step, value.tag, number)


def _number(value: Any) -> float | None:
    """The value of a scalar, of the old style or of the new."""
    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return value.simple_value
    # TensorFlow 2 and SummaryWriter(new_style=True) write a tensor without dimensions.
    if kind != "tensor" or value.tensor.tensor_shape.dim or value.metadata.plugin_data.plugin_name not in (SCALARS, ""):
        return None
    array = import_module("tensorboard.util.tensor_util").make_ndarray(value.tensor)
    return float(array) if array.dtype.kind in "fiu" else None
