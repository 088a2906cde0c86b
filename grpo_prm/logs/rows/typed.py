"""JSON to values of a `msgspec.Struct`: of large records only what a format asks for is decoded."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from .records import parse
from .values import Bad


def parser_of(record: type) -> Callable[[bytes], Any]:
    """A function that takes the JSON of one record to a value of a type, or to the `Bad` that it is.

    NaN and other things that JSON does not know, but Python writes, are read as null.
    """
    decode = msgspec.json.Decoder(record).decode

    def parsed(text: bytes) -> Any:
        try:
            return decode(text)
        except msgspec.ValidationError as error:
            return Bad("", f"not of this format ({error})")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            value = parse(text)  # reads what Python's own writer writes, or says what is wrong
        return value if isinstance(value, Bad) else typed(value, record)

    return parsed


def typed(value: Any, record: type) -> Any:
    """A JSON value (dicts and lists) as a value of a type, or the `Bad` that it is.

    A log that is no JSON lines, an array say, gives its records so.
    """
    try:
        return _decoder(record).decode(msgspec.json.encode(value))
    except msgspec.ValidationError as error:
        return Bad("", f"not of this format ({error})")
    except UnicodeEncodeError:
        return Bad("", "not Unicode (half of a surrogate pair)")
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        return Bad("", f"not of this format ({error})")


@cache
def _decoder(record: type) -> msgspec.json.Decoder:
    return msgspec.json.Decoder(record)
