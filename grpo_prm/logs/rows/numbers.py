"""Rewards and advantages of one row: a JSON value to a number, or what is wrong with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

from ..columns.first_rows import HUGE, MISSING
from .values import Bad, described, json_list


def is_none(value: Any) -> bool:
    """Null, missing, or NaN, which is how a reward function that does not apply is written."""
    return value is None or value is MISSING or (isinstance(value, float) and math.isnan(value))


def sum_of(value: Any) -> Any:
    """The sum of a list of numbers, what is no number left out; another value, or a list without any, as it is."""
    value = json_list(value)
    numbers = [v for v in value if not is_none(v)] if isinstance(value, list) else []
    return sum(numbers) if numbers and all(isinstance(v, bool | int | float) for v in numbers) else value


def number_of(value: Any, field: str, from_text: bool = False, words: Mapping[str, float] | None = None) -> float:
    """A finite number below `HUGE`; true and false are 1 and 0, and of words what `Plan.words` says."""
    if isinstance(value, str):
        value = _number_in(value, field, from_text, words)
    # Not math.isfinite: an int too large for a float raises there.
    if isinstance(value, bool | int | float) and abs(value) < HUGE:
        return float(value)
    if isinstance(value, int | float) and abs(value) <= sys.float_info.max:
        raise Bad(field, f"too large a number to compute with ({value:.3g})")
    if value is MISSING or value is None:
        raise Bad(field, "missing" if value is MISSING else "null")
    raise Bad(field, f"expected a finite number, got {described(value)}")


def part_of(
    value: Any, field: str, from_text: bool, needed: bool, words: Mapping[str, float] | None = None
) -> float | None:
    """A part of the reward: null where it is, and if it is not needed also where it is no finite number."""
    if is_none(value):
        return None
    try:
        return number_of(value, field, from_text, words)
    except Bad:
        if needed and value != "":
            raise
        return None


def advantage_of(value: Any, from_text: bool) -> float | None:
    """A logged advantage; null where there is none, and one number for a list that repeats it."""
    if isinstance(value, list) and value and all(v == value[0] for v in value):
        value = value[0]
    if value in (None, MISSING, "") or (isinstance(value, float) and math.isnan(value)):
        return None
    return number_of(value, "advantage", from_text)


def _number_in(text: str, field: str, from_text: bool, words: Mapping[str, float] | None) -> Any:
    """The number that a text stands for, None for an empty text; the text itself where no text is expected."""
    if words:
        if text.strip().lower() not in words and text.strip():
            raise Bad(field, f"expected {' or '.join(words)}, got {described(text)}")
        return words.get(text.strip().lower())
    return _csv_value(text) if from_text or words is not None else text


def _csv_value(cell: str) -> Any:
    """The number or flag that a cell of a CSV spells, None for an empty one, else the text."""
    if cell.strip().lower() in ("true", "false"):
        return cell.strip().lower() == "true"
    try:
        return float(cell)
    except ValueError:
        return cell or None
