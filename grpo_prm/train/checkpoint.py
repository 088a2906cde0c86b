"""Checkpoints that a run goes on from to the same bytes: weights, optimizer, generators; whole or not at all.

A folder is written under a temporary name and renamed, so that a process killed at any moment leaves the one before.
Checksums tell a checkpoint that a disk has damaged, which is passed over.
"""

from __future__ import annotations

import json
import random
import shutil
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from ..errors import InputError
from ..files import atomic_folder, clear_away, unfinished
from . import ranks

FOLDER, BEST, MODEL = "checkpoints", "best", "model"
WEIGHTS, OPTIMIZER, STATE = "model.safetensors", "optimizer.pt", "state.json"


class Training(NamedTuple):
    """What changes while a run goes on."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler


def save(folder: Path, step: int, training: Training, state: dict[str, Any], keep: int) -> None:
    """Write a checkpoint, and take away all but the last `keep`.

    Args:
        folder: Run folder.
        step: Steps done.
        training: Model, optimizer and schedule. Of the model only what is trained is written: a LoRA adapter's run
            loads the rest from where it came.
        state: Numbers and texts to go on with, written as JSON.
        keep: How many stay.
    """
    with atomic_folder(folder / FOLDER / f"step_{step:06d}") as staging:
        # contiguous: safetensors refuses views; tied weights come once, since `_trained` gives each once
        save_file({name: part.detach().contiguous() for name, part in _trained(training)}, staging / WEIGHTS)
        kept = {
            "optimizer": training.optimizer.state_dict(),
            "schedule": training.schedule.state_dict(),
            "generators": _generators(),
        }
        torch.save(kept, staging / OPTIMIZER)
        # last, over what is on the disk: a checkpoint without state.json, or with another sum, is not whole
        sums = {name: _checksum(staging / name) for name in (WEIGHTS, OPTIMIZER)}
        known = {"state": {**state, "step": step}, "counts": _counts(), "sums": sums}
        (staging / STATE).write_text(json.dumps(known), encoding="utf-8")
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def keep_best(folder: Path, model: Any, tokenizer: Any) -> None:
    """Keep the best model of a run so far, in place of the one before."""
    keep_model(folder / FOLDER / BEST, model, tokenizer)


def keep_model(place: Path, model: Any, tokenizer: Any) -> None:
    """Write a folder that transformers loads (with an adapter: peft), in place of the one before."""
    with atomic_folder(place) as staging:
        model.save_pretrained(staging)
        tokenizer.save_pretrained(staging)


def has_checkpoint(folder: Path) -> bool:
    """Is there anything to go on from?"""
    return bool(_all(folder))


def steps_done(folder: Path) -> int:
    """Steps of the newest checkpoint; 0 without one."""
    every = _all(folder)
    return int(every[-1].name.removeprefix("step_")) if every else 0


def restore(folder: Path, training: Training) -> tuple[dict[str, Any], list[str]]:
    """Load the newest checkpoint that is whole, and clear away what a killed process left half done.

    The process that leads chooses, so that all go on from the same one; damaged ones after it are removed.

    Args:
        folder: Run folder.
        training: Where model, optimizer and schedule are loaded into, all with the generators of torch, numpy and
            Python.

    Returns:
        The state, with `step`, and sentences for the user.

    Raises:
        InputError: There is none, none is whole, or it cannot be loaded into these.
    """
    path, known, notes = ranks.gathered([_choose(folder) if ranks.leads() else (folder, {}, [])])[0]
    # known to be as it was written, so what fails from here on is another model or version, not damage
    try:
        _load(path, training)
    except Exception as error:  # whatever a file that is not ours brings about
        raise InputError(f"{path}: cannot be loaded ({_reason(error)}). Start anew with another --out.") from None
    if ranks.leads():
        # damaged ones after it: what is saved from here on would stand behind them
        for later in [other for other in _all(folder) if other > path]:
            shutil.rmtree(later, ignore_errors=True)
    for (name, now), one in zip(_counts().items(), ("thread", "process"), strict=True):
        if (was := known["counts"][name]) != now:
            fix = f"--threads {was}" if name == "threads" else f"torchrun --nproc_per_node {was}"
            notes.append(
                f"The run had {was} {name if was != 1 else one} and has {now} now, so its last digits will differ from"
                f" an uninterrupted run. {fix} would give the same."
            )
    return known["state"], notes


def _choose(folder: Path) -> tuple[Path, dict[str, Any], list[str]]:
    """The newest checkpoint whose files are as they were written, its state.json, and a note for each passed over."""
    clear_folders(folder)
    if not (every := _all(folder)):
        raise InputError(f"{folder}: no checkpoint to resume from. Leave out --resume to start anew.")
    notes: list[str] = []
    reason = ""
    for path in reversed(every):
        try:
            return path, _checked(path), notes
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            reason = _reason(error)
            notes.append(f"{path} is damaged ({reason}): an earlier checkpoint is used.")
    raise InputError(f"{folder}: no checkpoint is whole ({reason}). Start anew with another --out.")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def clear_folders(folder: Path) -> None:
    """Remove checkpoints and models of a run that were never finished; what stood in the place of one comes back."""
    # the links to other disks too, beside whose targets was written
    for place in {folder / MODEL, folder / FOLDER / BEST, *unfinished(folder / FOLDER)}:
        clear_away(place, alone=True)


def seed_everything(seed: int) -> None:
    """Seed the global generators; what the trainer draws has streams of its own."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for reward functions of others
    random.seed(seed)


def _counts() -> dict[str, int]:
    """What the last digits of a sum depend on."""
    return {"threads": torch.get_num_threads(), "processes": ranks.count()}


def _all(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted((folder / FOLDER).glob("step_*"))


def _trained(training: Training) -> list[tuple[str, nn.Parameter]]:
    """The weights that training changes, tied ones once."""
    return [(name, part) for name, part in training.model.named_parameters() if part.requires_grad]


def _checked(path: Path) -> dict[str, Any]:
    """What state.json says, once every file is as it was written."""
    known = json.loads((path / STATE).read_text(encoding="utf-8"))
    for name, written in known["sums"].items():
        if _checksum(path / name) != written:
            raise ValueError(f"{name} is not as it was written")
    return known


def _load(path: Path, training: Training) -> None:
    # weights_only: a file that would run code is refused
    kept = torch.load(path / OPTIMIZER, weights_only=True, map_location="cpu")
    weights, trained = load_file(path / WEIGHTS), dict(_trained(training))
    if {name: part.shape for name, part in weights.items()} != {name: part.shape for name, part in trained.items()}:
        # before anything is changed, so that no half of a checkpoint is taken over
        raise ValueError("its weights are those of another model")
    training.optimizer.load_state_dict(kept["optimizer"])
    training.schedule.load_state_dict(kept["schedule"])
    with torch.no_grad():
        for name, part in trained.items():
            part.copy_(weights[name])
    _set_generators(kept["generators"])


def _generators() -> dict[str, Any]:
    """State of the global generators, in types that `torch.load` takes without running code."""
    name, key, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - reward functions of others use it
    numpy = [name, torch.from_numpy(np.asarray(key).astype(np.int64)), *rest]
    return {"torch": torch.get_rng_state(), "numpy": numpy, "python": random.getstate()}


def _set_generators(kept: dict[str, Any]) -> None:
    torch.set_rng_state(kept["torch"])
    name, key, *rest = kept["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, numbers, gauss = kept["python"]
    random.setstate((version, tuple(numbers), gauss))


def _checksum(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total = zlib.crc32(block, total)
    return total
