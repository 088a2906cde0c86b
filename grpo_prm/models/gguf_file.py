"""A GGUF file, the format of llama.cpp: facts by name, and weights that are dequantised when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


class GGUF(NamedTuple):
    """What a file holds.

    Attributes:
        path: The file, of which weights are read until they are all dequantised.
        facts: Value by key: a number, a text, or a list of them.
        tensors: Weights as they lie in the file, by their name in llama.cpp.
    """

    path: Path
    facts: Mapping[str, Any]
    tensors: Mapping[str, Any]

    def fact(self, key: str) -> Any:
        """A fact that must be there.

        Raises:
            InputError: It is not.
        """
        if key not in self.facts:
            raise InputError(f"{self.path}: does not say {key}. Give a GGUF of a model that is known here.")
        return self.facts[key]


def open_gguf(path: Path) -> GGUF:
    """Open a file.

    Raises:
        InputError: It is no GGUF.
    """
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        facts = {key: _value(field) for key, field in reader.fields.items()}
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise InputError(f"{path}: is no GGUF file ({error}). Fetch it again.") from None
    return GGUF(path, facts, {str(tensor.name): tensor for tensor in reader.tensors})


def dequantised(tensor: Any) -> NDArray[np.float32]:
    """The weights of a tensor, float32, shape (outputs, inputs), or (width,) of a norm."""
    from gguf import dequantize

    return np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type), np.float32)


def kinds_of(gguf: GGUF) -> dict[str, int]:
    """How many tensors there are of each kind: `{"F32": 61, "Q4_1": 210}`."""
    kinds = [tensor.tensor_type.name for tensor in gguf.tensors.values()]
    return {kind: kinds.count(kind) for kind in sorted(set(kinds))}


def _value(field: Any) -> Any:
    """The value of a field, in types of Python."""
    from gguf import GGUFValueType

    kinds = field.types
    parts = [field.parts[place] for place in field.data]
    if kinds[-1] == GGUFValueType.STRING:
        values: list[Any] = [bytes(part).decode("utf-8") for part in parts]
    else:
        values = [part[0].item() for part in parts]
    if kinds[0] == GGUFValueType.ARRAY:
        return values
    if kinds[0] == GGUFValueType.FLOAT32:  # 1e-05, not 9.999999747378752e-06
        return float(str(np.float32(values[0])))
    return values[0]
