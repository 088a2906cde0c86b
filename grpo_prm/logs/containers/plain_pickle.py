"""Unpickling by an allow-list: plain values, tensors and numpy numbers are read, nothing is imported, nothing runs.

A pickle is a program that may call anything. Here the only names that it can call are those of `_names`, all of them
functions of this file or plain containers; any other name is refused before it is looked up. torch is not needed:
tensors are made of the bytes of their storages.
"""

from __future__ import annotations

import datetime
import io
import itertools
import math
import operator
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Storage = Callable[[str, int], bytes]  # key and bytes that are needed, to the bytes
_TYPES = {
    **dict.fromkeys(("float32", "FloatStorage"), "f4"),
    **dict.fromkeys(("float64", "DoubleStorage"), "f8"),
    **dict.fromkeys(("float16", "HalfStorage"), "f2"),
    **dict.fromkeys(("int64", "LongStorage"), "i8"),
    **dict.fromkeys(("int32", "IntStorage"), "i4"),
    **dict.fromkeys(("int16", "ShortStorage"), "i2"),
    **dict.fromkeys(("int8", "CharStorage"), "i1"),
    **dict.fromkeys(("uint8", "ByteStorage"), "u1"),
    **dict.fromkeys(("bool", "BoolStorage"), "?"),
    **dict.fromkeys(("bfloat16", "BFloat16Storage"), "bfloat16"),
}
_FREE = 1 << 20  # values that tensors may have beyond those of their storages
VALUES = 1 << 25  # values of all tensors: rollouts have fewer, a checkpoint more


class Refused(ValueError):
    """The pickle asks for something that is not on the list; the text says what."""


class Unpickler(pickle.Unpickler):
    """Reads one pickle of plain values.

    Args:
        data: The pickle.
        storage: Gives the bytes of a storage of tensors.
        order: `<` or `>`: the byte order of the storages.

    `load` raises Refused for any class or function that is not on the list, and for tensors that declare more values
    than their storages hold; `pickle.UnpicklingError` and others for a pickle that is damaged.
    """

    def __init__(self, data: bytes, storage: Storage, order: str = "<") -> None:
        super().__init__(io.BytesIO(data))
        self._storage, self._order = storage, order
        self._names, self._storages = _names(self._charge), {}
        self._calls = max(len(data), _FREE)  # values that calls may still make of what stands in the pickle
        self._left, self._values = _FREE, 0  # that tensors may still have, and that storages have

    def find_class(self, module: str, name: str) -> Any:
        """The function of the list behind a name."""
        if (module, name) in self._names:
            return self._names[module, name]
        if module == "torch._utils" and name == "_rebuild_tensor_v2":
            return self._tensor
        if module == "torch" and name in _TYPES:
            return name
        raise Refused(f"it holds {module}.{name}, which is not read, as unpickling it may run code")

    def persistent_load(self, pid: Any) -> np.ndarray:
        """A storage: ("storage", type, key, device, length)."""
        what, kind, key, _device, length = pid
        if what != "storage" or kind not in _TYPES or not isinstance(key, str) or type(length) is not int:
            raise Refused(f"it holds a storage of {kind}, which is not known")
        if key not in self._storages:
            self._values += length
            if length < 0 or self._values > VALUES:
                raise Refused(f"its tensors hold more than {VALUES} values, as those of a checkpoint do")
            code = _TYPES[kind]
            dtype = np.dtype(self._order + ("u2" if code == "bfloat16" else code))
            values = np.frombuffer(self._storage(key, length * dtype.itemsize), dtype, length)
            if code == "bfloat16":  # the upper half of a float32
                values = (values.astype(np.uint32) << 16).view(np.float32)
            self._storages[key] = values
            self._left += length
        return self._storages[key]

    def _charge(self, values: int) -> None:
        """Count values that a call makes: a pickle may make as many as it has bytes, each of them once."""
        self._calls -= values
        if self._calls < 0:
            raise Refused("it makes more values than it has bytes")

    def _tensor(self, storage: np.ndarray, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any) -> Any:
        """A tensor as lists within lists; one of no dimension as a number."""
        if not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)) or len(size) != len(stride):
            raise Refused("it holds a tensor of impossible shape")
        count = math.prod(size)
        self._left -= _most(size)
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if self._left < 0 or (count and last >= len(storage)):
            raise Refused("it holds a tensor of more values than its storage has")
        steps = [step * storage.itemsize for step in stride]
        return np.lib.stride_tricks.as_strided(storage[offset:] if count else storage[:0], size, steps).tolist()


def _most(shape: Sequence[int]) -> int:
    """Values or lists of an array on the level that has most: of shape (9, 0) there are 9 lists and no value."""
    return max(itertools.accumulate(shape, operator.mul, initial=1))


def _names(charge: Callable[[int], None]) -> dict[tuple[str, str], Any]:
    """The list: made anew for each pickle, as one may set attributes of what it is given.

    Args:
        charge: Counts the values that a call makes, before it makes them.
    """

    class Dtype:
        """A dtype of numpy: plain numbers and flags only."""

        def __init__(self, code: str, *_: Any) -> None:
            if not isinstance(code, str) or np.dtype(code).kind not in "biuf":
                raise Refused(f"it holds values of numpy's type {code!r}, which are not plain numbers")
            self.dtype = np.dtype(code)

        def __setstate__(self, state: tuple[Any, ...]) -> None:
            self.dtype = self.dtype.newbyteorder(state[1] if state[1] in ("<", ">") else "=")

    class Array(list):
        """An array of numpy as lists within lists."""

        def __setstate__(self, state: tuple[Any, ...]) -> None:
            _version, shape, dtype, fortran, data = state
            if not isinstance(dtype, Dtype) or not isinstance(data, bytes):
                raise Refused("it holds an array of numpy of other values than plain numbers")
            charge(max(len(data), _most(shape)))
            values = np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if fortran else "C")
            if not values.ndim:
                raise Refused("it holds an array of numpy without a dimension")
            self[:] = values.tolist()

    def scalar(dtype: Dtype, data: bytes) -> Any:
        return np.frombuffer(data, dtype.dtype, 1)[0].item()

    def encoded(text: str, encoding: str = "") -> bytes:  # how protocol 2 writes bytes
        if encoding != "latin1":
            raise Refused(f"it holds text in {encoding!r}")
        charge(len(text))
        return text.encode("latin1")

    def made(kind: Callable[..., Any]) -> Callable[..., Any]:
        def make(*values: Any) -> Any:
            charge(sum(map(len, values)))
            return kind(*values)

        return make

    builtins = ("builtins", "__builtin__")
    numpy = {"scalar": scalar, "_reconstruct": lambda *_: Array()}
    return {
        ("collections", "OrderedDict"): made(OrderedDict),
        **{(module, name): made(list) for module in builtins for name in ("set", "frozenset", "list")},
        **{(module, "bytes"): lambda: b"" for module in builtins},  # how protocol 2 writes empty bytes
        ("builtins", "dict"): made(dict),
        ("torch", "Size"): made(list),
        ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
        ("_codecs", "encode"): encoded,
        ("datetime", "datetime"): lambda *state: datetime.datetime(*state).isoformat(),
        ("numpy", "dtype"): Dtype,
        ("numpy", "ndarray"): None,  # an argument of `_reconstruct`, and not called itself
        **{(f"numpy.{core}.multiarray", name): f for core in ("core", "_core") for name, f in numpy.items()},
    }
