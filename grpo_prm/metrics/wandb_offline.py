"""Metrics of W&B as they lie on the disk: the history in run-ID.wandb of a run folder, offline or not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import InputError, UsageError
from ..text.amounts import amount, listed
from .own_run import is_number
from .series import Metrics, Row, made_of, trainer_names
from .wandb_records import Damage, records

OWN = ("_step", "_runtime", "_timestamp")
GLOBAL_STEP = "train/global_step"  # the step of transformers, whose log has a counter of its own
_RUN = re.compile(r"(?:offline-)?run-\d+_\d+-(?P<id>.+)")


def run_files(folder: Path) -> list[Path]:
    """Run files in a run folder, or in a folder `wandb` of run folders, oldest first."""
    found = [path for path in folder.glob("run-*.wandb") if path.is_file()]
    # A link such as latest-run leads to one that is found already. Names have the time of the start.
    inner = (path for path in folder.glob("*/run-*.wandb") if _RUN.fullmatch(path.parent.name))
    return sorted(found) or sorted(inner, key=lambda path: path.parent.name.removeprefix("offline-"))


def read_wandb(files: list[Path]) -> Metrics:
    """Read the history of a run; each file is a start of it.

    The step is the metric that the run names by `define_metric`, such as `train/global_step` of transformers, else
    W&B's own `_step`.

    Args:
        files: Run files of one run, oldest first.

    Raises:
        UsageError: The wandb package is not installed, or the files are of several runs.
        InputError: A file cannot be read, or has no numbers.
    """
    ids = sorted({path.stem.removeprefix("run-") for path in files})
    if len(ids) > 1:
        where = files[0].parents[1]
        raise UsageError(f"{where}: holds {len(ids)} runs of W&B ({listed(ids)}). Name the folder of one of them.")
    rows: list[Row] = []
    steps: set[str] = set()
    notes = []
    for session, path in enumerate(files):
        defined: dict[str, str] = {}
        for record in _parsed(path):
            if isinstance(record, Damage):
                notes.append(f"{path.name}: cut or damaged after byte {record.byte:,}, read up to there.")
            elif record.WhichOneof("record_type") == "metric" and record.metric.step_metric:
                defined[record.metric.name or record.metric.glob_name] = record.metric.step_metric
            elif record.WhichOneof("record_type") == "history":
                rows += _row(session, _numbers(record.history), defined, steps)
    if not rows:
        raise InputError(f"{files[0]}: its history has no numbers with a step. Name another run.")
    if other := sorted(steps - {"_step"}):
        notes.append(f"Steps are those of {listed(other)}.")
    if len(files) > 1:
        notes.append(f"{amount(len(files), 'start')} of one run.")
    return made_of("W&B", files, trainer_names(rows, "train/epoch"), notes)


def _parsed(path: Path) -> Iterator[Any]:
    """The records of a file as messages, and its damage."""
    try:
        messages: Any = import_module("wandb.proto.wandb_internal_pb2")
        broken: Any = import_module("google.protobuf.message")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path}: reading it needs {error.name}, which is not installed. Run pip install wandb."
        ) from None
    for record in records(path):
        try:
            yield record if isinstance(record, Damage) else messages.Record.FromString(record)
        except broken.DecodeError:
            raise InputError(f"{path}: a record is not one of W&B's. Update wandb: pip install -U wandb.") from None


def _numbers(history: Any) -> dict[str, float]:
    """The numbers of a row by name, those of an object as `OBJECT.NAME`; `_step` too."""
    values = {".".join(item.nested_key) or item.key: _value(item) for item in history.item}
    return {"_step": history.step.num} | {name: value for name, value in values.items() if is_number(value)}


def _value(item: Any) -> Any:
    """The value of an item: as JSON, or in newer files in a field of its kind."""
    kind = item.WhichOneof("value") if "value" in item.DESCRIPTOR.oneofs_by_name else None
    if kind in ("integer", "number"):
        return getattr(item, kind)
    try:
        return json.loads(item.json if kind == "json" else item.value_json)
    except (ValueError, RecursionError):
        return None


def _row(session: int, numbers: Mapping[str, float], defined: Mapping[str, str], steps: set[str]) -> Iterator[Row]:
    """The values of a row, each at the step of its metric; `steps` gets the names of these."""
    for name, value in numbers.items():
        step_name = _step_name(name, numbers, defined)
        step = numbers.get(step_name)
        if name in (*OWN, *defined.values(), GLOBAL_STEP) or step is None or not float(step).is_integer():
            continue
        steps.add(step_name)
        yield Row(session, int(step), name, value)


def _step_name(name: str, numbers: Mapping[str, float], defined: Mapping[str, str]) -> str:
    """What counts the steps of a metric: as defined for its name, else for the longest beginning of it."""
    if name in defined:
        return defined[name]
    globs = [glob for glob in defined if glob.endswith("*") and name.startswith(glob[:-1])]
    if globs:
        return defined[max(globs, key=len)]
    return GLOBAL_STEP if GLOBAL_STEP in numbers else "_step"
