"""Metrics of TRL and others on transformers: `log_history` of trainer_state.json, which every checkpoint has."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import InputError
from .own_run import is_number
from .series import Metrics, Row, made_of

STATE = "trainer_state.json"
OF_NO_STEP = ("step", "epoch")  # say where a line stands
AT_THE_END = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "total_flos", "train_loss")


def states_of(folder: Path) -> list[Path]:
    """The states in an output folder of transformers: its own, and those of its checkpoints."""
    return [path for path in (folder / STATE, *sorted(folder.glob(f"checkpoint-*/{STATE}"))) if path.is_file()]


def read_trainer_state(paths: list[Path]) -> Metrics:
    """Read the state that has come furthest: it has the history of those before.

    Steps are those of the optimizer, counted from 1, as TRL numbers its completions.

    Args:
        paths: States of one run.

    Raises:
        InputError: One cannot be read, or is no such file.
    """
    states = [(_state(path), path) for path in paths]
    state, path = max(states, key=lambda pair: pair[0]["global_step"])  # of equal ones the first: the folder's own
    rows = [
        Row(0, line["step"], name, value)
        for line in state["log_history"]
        if isinstance(line, dict) and type(line.get("step")) is int
        for name, value in line.items()
        if name not in (*OF_NO_STEP, *AT_THE_END) and is_number(value)
    ]
    if not rows:
        raise InputError(f"{path}: `log_history` has no numbers. Train with logging_steps, or name another file.")
    every = state.get("logging_steps")
    several = is_number(every) and every > 1
    notes = [f"Logged every {every:g} steps: most values are means over these."] if several else []
    return made_of(STATE, [path], rows, notes)


def _state(path: Path) -> dict:
    try:
        state = json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check who may read it.") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: not JSON. Name another checkpoint.") from None
    if not isinstance(state, dict) or not isinstance(state.get("log_history"), list):
        raise InputError(f"{path}: no trainer_state.json of transformers, `log_history` is missing. Name another file.")
    done = state.get("global_step")
    return state | {"global_step": done if is_number(done) else 0}
