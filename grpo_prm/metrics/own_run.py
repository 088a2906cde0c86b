"""Metrics of `grpo-prm train`: JSON lines, each with its step; evaluations have lines of their own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from ..errors import InputError
from ..text.amounts import amount
from .series import Metrics, Row, made_of

METRICS = "metrics.jsonl"
HELD_OUT = "held_out"  # key of an evaluation's line


def read_own_run(path: Path) -> Metrics:
    """Read `metrics.jsonl` of a run folder, or other JSON lines with `step` and numbers.

    An evaluation after N steps is at step N: it is of the policy that samples the rollouts of step N.

    Args:
        path: The file.

    Returns:
        The numbers by name, those of an object as `OBJECT/NAME`; accuracy on held-out prompts as `held_out/accuracy`
        with its 95 % Wilson interval.

    Raises:
        InputError: It cannot be read, or no line has a step.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Check who may read it.") from None
    known = [_object(line) for line in lines]
    rows = [row for line in known if line is not None for row in _rows(line)]
    if not rows:
        raise InputError(f"{path}: no line is a JSON object with a whole number `step` and numbers. Name another file.")
    bad = known.count(None)
    notes = [f"{amount(bad, 'line')} without a step, or cut: passed over."] if bad else []
    return made_of("metrics.jsonl", [path], rows, notes)


def _object(line: bytes) -> dict[str, Any] | None:
    """The object of a line, None where it is torn or has no step."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) and type(value.get("step")) is int else None


def _rows(line: dict[str, Any]) -> Iterator[Row]:
    step = line["step"]
    for name, value in line.items():
        if name == HELD_OUT and isinstance(value, dict) and "mean" in value:
            known = {key: number for key, number in value.items() if is_number(number)}
            if "mean" in known:
                yield Row(0, step + 1, f"{HELD_OUT}/accuracy", known["mean"], known.get("low"), known.get("high"))
            if "majority" in known:
                yield Row(0, step + 1, f"{HELD_OUT}/majority", known["majority"])
        elif isinstance(value, dict):
            yield from (Row(0, step, f"{name}/{key}", inner) for key, inner in value.items() if is_number(inner))
        elif name != "step" and is_number(value):
            yield Row(0, step, name, value)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value of JSON is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
