"""Checkpoints that a run goes on from to the same bytes: weights, optimizer, generators; whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load_model, save_model
from torch import nn

from ..errors import InputError

FOLDER, BEST = "checkpoints", "best"


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
        training: Model, optimizer and schedule.
        state: Numbers and texts to go on with, written as JSON.
        keep: How many stay.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    staging = Path(mkdtemp(dir=place, prefix=".new."))
    save_model(training.model, str(staging / "model.safetensors"))
    kept = {
        "optimizer": training.optimizer.state_dict(),
        "schedule": training.schedule.state_dict(),
        "generator": torch.get_rng_state(),
    }
    torch.save(kept, staging / "optimizer.pt")
    known = {**state, "step": step, "threads": torch.get_num_threads()}
    (staging / "state.json").write_text(json.dumps(known), encoding="utf-8")
    final = place / _name(step)
    shutil.rmtree(final, ignore_errors=True)
    os.replace(staging, final)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)


def keep_best(folder: Path, model: Any, tokenizer: Any) -> None:
    """Write the model as a folder that transformers loads, in place of the best one before."""
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    staging, old = Path(mkdtemp(dir=place, prefix=".best.")), place / f".{BEST}.old"
    model.save_pretrained(staging)
    tokenizer.save_pretrained(staging)
    shutil.rmtree(old, ignore_errors=True)
    if (place / BEST).exists():
        os.replace(place / BEST, old)
    os.replace(staging, place / BEST)
    shutil.rmtree(old, ignore_errors=True)


def restore(folder: Path, training: Training) -> tuple[dict[str, Any], list[str]]:
    """Load the newest checkpoint that is whole.

    Returns:
        The state, with `step`, and sentences for the user.

    Raises:
        InputError: There is none.
    """
    notes: list[str] = []
    for path in reversed(_all(folder)):
        try:
            state = json.loads((path / "state.json").read_text(encoding="utf-8"))
            kept = torch.load(path / "optimizer.pt", weights_only=True, map_location="cpu")
            load_model(training.model, str(path / "model.safetensors"))
            training.optimizer.load_state_dict(kept["optimizer"])
            training.schedule.load_state_dict(kept["schedule"])
            torch.set_rng_state(kept["generator"])
        except Exception as error:
            notes.append(f"{path} is damaged ({type(error).__name__}); an earlier checkpoint is used.")
            continue
        if state["threads"] != torch.get_num_threads():
            notes.append(
                f"The run had {state['threads']} threads and now has {torch.get_num_threads()}: numbers will differ in"
                " their last digits. Set --threads."
            )
        for left in (folder / FOLDER).glob(".*"):
            shutil.rmtree(left, ignore_errors=True)
        return state, notes
    raise InputError(f"{folder}: no checkpoint is whole. Give --out another folder to start anew.")


def has_checkpoint(folder: Path) -> bool:
    """Is there anything to go on from?"""
    return bool(_all(folder))


def _name(step: int) -> str:
    return f"step_{step:06d}"


def _all(folder: Path) -> list[Path]:
    """Checkpoints, oldest first."""
    return sorted((folder / FOLDER).glob("step_*"))


def seed_everything(seed: int) -> None:
    """Seed the global generators; what the trainer draws has streams of its own."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - for reward functions of others
