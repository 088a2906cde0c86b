"""No NaN and no infinity in summary.json: what a float cannot hold is null, with its reason in `notes`."""

from __future__ import annotations

import math
from typing import Any

WHY = "its sums are too large or too small for a float of 64 bits"


def finite(value: Any, notes: dict[str, str], place: str = "") -> Any:
    """A copy of a JSON value in which each number that is not finite is None.

    Args:
        value: Of dicts, lists and plain values.
        notes: Gets a reason under the place of each such number, unless it has one.
        place: Keys that lead to the value, with dots between them.
    """
    if isinstance(value, dict):
        return {key: finite(inner, notes, f"{place}.{key}" if place else str(key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [finite(inner, notes, f"{place}.{at}") for at, inner in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        notes.setdefault(place, WHY)
        return None
    return value
