"""A safetensors file of float32 weights, written one weight at a time: never are two in memory.

The same weights give the same bytes with any version of any library, so a file of weights has one checksum.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

_NUMBER = 4  # bytes of a float32


class Weight(NamedTuple):
    """A weight to be written: its name, its shape, and what gives it, float32."""

    name: str
    shape: tuple[int, ...]
    read: Callable[[], NDArray[np.float32]]


def write_weights(path: Path, weights: Iterable[Weight], moved: Callable[[int, int], None]) -> str:
    """Write a file.

    Args:
        path: The file.
        weights: In the order in which they are to lie in it.
        moved: Called after each with the bytes written and the bytes in all.

    Returns:
        The sha256 of the file.

    Raises:
        ValueError: A weight has another shape than was said.
    """
    weights = list(weights)
    header = _header(weights)
    total, done, digest = sum(map(_size, weights)), 0, hashlib.sha256(header)
    with path.open("wb") as file:
        file.write(header)
        for weight in weights:
            values = weight.read()
            if values.shape != weight.shape:
                raise ValueError(f"{weight.name} has the shape {values.shape}, not {weight.shape}")
            block = np.ascontiguousarray(values, "<f4").reshape(-1).view(np.uint8).data
            file.write(block)
            digest.update(block)
            moved(done := done + len(block), total)
    return digest.hexdigest()


def _size(weight: Weight) -> int:
    return math.prod(weight.shape) * _NUMBER


def _header(weights: list[Weight]) -> bytes:
    """Eight bytes of its length, then which weight lies where, as JSON, filled up so that what follows is aligned."""
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}  # without which transformers refuses the file
    begin = 0
    for weight in weights:
        end = begin + _size(weight)
        entries[weight.name] = {"dtype": "F32", "shape": list(weight.shape), "data_offsets": [begin, end]}
        begin = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
