"""Checkpoints of a run inside TRL: transformers writes one beside the others, and when it is whole it gets its name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..train.checkpoint import FOLDER, STATE

STAGING = f"{FOLDER}/.unfinished"


def newest(folder: Path) -> tuple[Path | None, dict[str, Any]]:
    """The newest checkpoint of a run folder, None where there is none, and the state to go on with.

    Raises:
        InputError: Its state cannot be read.
    """
    every = sorted((folder / FOLDER).glob("step_*"))
    if not every:
        return None, {"step": 0, "before": [], "after": [], "best": None, "skipped": 0, "failed": 0}
    try:
        return every[-1], json.loads((every[-1] / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{every[-1]}: {STATE} cannot be read ({error}). Take this checkpoint away to go on from the one before."
        ) from None


def finish(folder: Path, state: dict[str, Any], keep: int) -> None:
    """Give the checkpoint that transformers has just written its place, and take away all but the last `keep`.

    Args:
        folder: Run folder.
        state: What goes on beside weights and optimizer; `step` is how many are done.
        keep: How many checkpoints stay.
    """
    step = state["step"]
    written, place = folder / STAGING / f"checkpoint-{step}", folder / FOLDER / f"step_{step:06d}"
    (written / STATE).write_text(json.dumps(state), encoding="utf-8")
    if place.exists():  # one that could not be used
        shutil.rmtree(place)
    written.rename(place)
    for old in sorted((folder / FOLDER).glob("step_*"))[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
