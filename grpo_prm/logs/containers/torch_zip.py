"""What `torch.save` writes: a zip with a pickle of the values. Its list or its one object are the records.

The pickle is read by an allow-list (`plain_pickle`), without torch. Pickles that are not in such a zip are refused.
"""

from __future__ import annotations

import io
import pickle
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

from ...errors import InputError
from ..bounds import largest_value
from ..rows.records import Record
from ..sources import Source
from .container import Container, Records
from .pickle_ops import memo_fits
from .plain_pickle import Refused, Unpickler

LIMIT = 512 << 20  # bytes of the largest pickle that is read: its values take several times as much
_VALUES = 1 << 28  # values in all: lists that stand in a pickle once may be pointed at many times
_FIRST = re.compile(rb"PK\x03\x04.{26}[^\0]{0,200}?/data\.pkl", re.DOTALL)
_PICKLE = re.compile(rb"\x80[\x02-\x05][\x8a\x95\]}()NKX\x8c]")
_PLAIN = {str, float, bool, bytes, type(None)}  # as they are in JSON, or refused where a value of JSON is needed
_BITS = 10_000  # of the largest integer


def _claims(_source: Source, start: bytes) -> bool:
    return _FIRST.match(start) is not None or _PICKLE.match(start) is not None


def _open(source: Source, _size: int) -> Iterator[Records]:
    with source.open() as raw:
        if raw.read(2) != b"PK":
            raise InputError(
                f"{source.name}: a pickle, which is not read, as it may run code. Save it with torch.save of torch 1.6"
                " or later, or write its rows as JSON lines."
            )
        raw.seek(0)
        value, size = _value(io.BytesIO(raw.read()) if not raw.seekable() else raw, source)
    values = value if isinstance(value, list) else [value]
    records = (Record(number, one, str(type(one).__name__)) for number, one in enumerate(values, 1))
    yield Records(records, size, source.size)


def _value(file: Any, source: Source) -> tuple[Any, int]:
    """The value of the pickle, and its bytes."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            folder = next(name for name in [*names, "/data.pkl"] if name.endswith("/data.pkl")).removesuffix("data.pkl")

            whole = file.seek(0, io.SEEK_END)

            def member(path: str, needed: int) -> bytes:
                info = archive.getinfo(folder + path)
                # torch stores without packing, so a member is as large as it says, or it is not of torch.
                if info.file_size != info.compress_size or info.file_size < needed or info.file_size > whole:
                    raise Refused(f"its part {path} is not as large as it says")
                return archive.read(info)

            big = folder + "byteorder" in names and member("byteorder", 0) == b"big"
            data = member("data.pkl", 1)
            if len(data) > (limit := min(LIMIT, largest_value(source.memory))):
                raise Refused(f"its values take more than {limit >> 20} MB, and several times that in memory")
            if not memo_fits(data):
                raise Refused("its pickle is damaged, or asks for more memory than it needs")
            value = Unpickler(data, lambda key, needed: member(f"data/{key}", needed), ">" if big else "<").load()
            return _as_json(value, {})[0], len(data)
    except Refused as refused:
        fault = f"{refused}"
    except (zipfile.BadZipFile, zlib.error, pickle.UnpicklingError, LookupError, OSError, EOFError) as error:
        fault = f"it cannot be read ({error or type(error).__name__})"
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, MemoryError, RuntimeError) as error:
        fault = f"its pickle is damaged ({type(error).__name__}: {error})"[:300]
    what = "Save plain values: dicts, lists, text, numbers and tensors."
    raise InputError(f"{source.name}: a file of torch.save, but {fault}. {what}")


def _as_json(value: Any, known: dict[int, tuple[Any, int] | None]) -> tuple[Any, int]:
    """A value as JSON would have it, and how many values there are when all that is pointed at is written out.

    Tuples and sets become lists, keys become text. What is pointed at several times stays one.

    Raises:
        Refused: More than `_VALUES`, something that holds itself, or what no JSON can hold.
    """
    if isinstance(value, int):
        return _fitting(value), 1
    if not isinstance(value, list | tuple | dict | set | frozenset):
        return value, 1
    if id(value) in known:
        found = known[id(value)]
        if found is None:
            raise Refused("it holds a value that holds itself")
        return found
    known[id(value)] = None
    inner = value if isinstance(value, list) else list(value.values() if isinstance(value, dict) else value)
    types = set(map(type, inner))
    if types == {int}:
        _fitting(max(inner)), _fitting(min(inner))
        made, count = inner, len(inner)
    elif types <= _PLAIN:
        made, count = inner, len(inner)
    else:
        parts = [_as_json(one, known) for one in inner]
        made, count = [part for part, _ in parts], sum(number for _, number in parts)
    if count >= _VALUES:
        raise Refused("it holds too many values")
    result = dict(zip(map(_key, value), made, strict=True)) if isinstance(value, dict) else made
    known[id(value)] = result, count + 1
    return result, count + 1


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    if isinstance(key, int | float | None):
        return str(_fitting(key))
    raise Refused(f"it holds a dict with a key that is a {type(key).__name__}, not text")


def _fitting(value: Any) -> Any:
    """A number, if Python writes it out: an integer of more than 4300 digits it does not."""
    if isinstance(value, int) and value.bit_length() > _BITS:
        raise Refused(f"it holds an integer of {value.bit_length()} bits")
    return value


CONTAINER = Container("torch_zip", _claims, _open)
