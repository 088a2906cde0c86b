"""Which weights a run began with, in its folder: a name or a path alone does not say."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import UsageError
from ..files import atomic
from ..models.names import identity
from . import ranks

RECORD = "model.json"


def record_model(folder: Path, name: str | None, *, resume: bool) -> None:
    """Write down the name of the model and the sha256 of its weights; of a run that goes on, compare them.

    Args:
        folder: The run folder.
        name: The model as the settings name it, loaded before; None of the small model of a task, which the settings
            determine.
        resume: The run goes on.

    Raises:
        UsageError: It began with other weights.
    """
    if name is None:
        return
    found, path = identity(name), folder / RECORD
    if resume and path.exists():
        _check(path, found["sha256"])
    elif ranks.leads():
        with atomic(path) as part:
            part.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def _check(path: Path, now: dict[str, str]) -> None:
    try:
        began = dict(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path}: is damaged ({error}). Take it away, and the run goes on unchecked.") from None
    if began and now and began != now:
        name = next(name for name in sorted({*began, *now}) if began.get(name) != now.get(name))
        raise UsageError(
            f"{path}: the run began with other weights: {name} had the sha256 {began.get(name)}, and now"
            f" {now.get(name)}. Bring back the weights that it began with, or start another run with --out."
        )
