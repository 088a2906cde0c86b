"""One field of one row: a JSON value to what the canonical table holds, or what is wrong with it."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import orjson

from ...core.identity import SENTINEL
from ..columns.first_rows import MISSING, parsed
from .chat import attachments, messages_of, segments

INT32 = 2**31
_SCALAR: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool}
LARGE = 1e30  # beyond it a log-probability is not one
DIGITS = r"-?[0-9]{1,18}"  # a step that is written as text
# Texts under `truncated` that mean the length limit: reasons that samplers give, and a flag written as text.
CUT_BY_LENGTH = ("length", "max_tokens", "truncated", "true", "True")


class Bad(Exception):
    """One row that cannot be used: the field and the reason. Caught here and kept among the rejected rows."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field, self.reason = field, reason


def name_of(value: Any, field: str) -> str:
    """A key of the log as text."""
    if value is None or value is MISSING:
        raise Bad(field, "missing" if value is MISSING else "null")
    if isinstance(value, list | dict):
        raise Bad(field, f"expected a name or a number, got {described(value)}")
    return clean(value, field) if isinstance(value, str) else str(value)


def label_of(value: Any) -> str | None:
    """The name of a problem or a task as text; null where there is none, or no plain value."""
    if value is None or value is MISSING or isinstance(value, list | dict):
        return None
    return str(value).encode("utf-8", "replace").decode()


def step_of(value: Any) -> int:
    """A training step: a whole number, as a number or as text."""
    if isinstance(value, str) and re.fullmatch(DIGITS, value):  # int() would take 1_000 and spaces as well
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise Bad("step", "missing" if value is MISSING else f"expected a whole number, got {described(value)}")
    return value


def prompt_of(value: Any, needed: bool) -> str | None:
    """The text of a prompt, with a mark for each image, None without one; of ids the JSON: equal prompts are known."""
    if value in (None, MISSING):
        if needed:
            raise Bad("prompt", "missing" if value is MISSING else "null")
        return None
    if isinstance(value, list) and value and all(type(token) is int for token in value):
        return json.dumps(value)
    text, _ = completion_of(value, "prompt")
    return "\n".join([text, *attachments(messages_of(value) or ())])


def completion_of(value: Any, field: str = "completion") -> tuple[str, np.ndarray | None]:
    """Text, and for a chat the lengths in characters of its segments, out of the loss and in it by turns, out first."""
    messages = messages_of(value)
    if messages is None:
        if isinstance(value, str):
            return clean(value, field), None
        raise Bad(field, "missing" if value is MISSING else f"expected text or a chat, got {described(value)}")
    try:
        cut = segments(messages)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise Bad(field, f"a chat that cannot be read ({error})") from None
    lengths = [0]
    for text, in_loss in cut:
        if in_loss != bool((len(lengths) - 1) % 2):  # even places are out of the loss: it is the other's turn
            lengths.append(0)
        lengths[-1] += len(text)
    return clean("".join(text for text, _ in cut), field), np.array(lengths, np.int32)


def clean(text: str, field: str) -> str:
    """The text, if UTF-8 can hold it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Bad(field, "not Unicode (half of a surrogate pair)") from None
    return text


def json_list(value: Any) -> Any:
    """A list that is written as text (CSV cells, JSON in JSON), else the value as it is."""
    if isinstance(value, str) and value[:1] == "[":
        try:
            return orjson.loads(value)
        except ValueError:
            return value
    return value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value


def ids_of(value: Any) -> np.ndarray:
    """Token ids as int32; an empty list is an empty completion."""
    value = json_list(value)
    if isinstance(value, np.ndarray):
        return _checked(value)
    if not isinstance(value, list):
        raise Bad("tokens", "missing" if value is MISSING else f"expected a list of ids, got {described(value)}")
    # The set of types is one pass in C; an isinstance for each of millions of ids is not. It tells True from 1, too.
    if odd := set(map(type, value)) - {int}:
        if odd == {float} and (large := [v for v in value if type(v) is float and abs(v) >= INT32]):
            raise Bad("tokens", f"the id {large[0]:.0f} is beyond int32")  # orjson reads such a number as a float
        raise Bad("tokens", f"expected whole numbers, got {described(next(v for v in value if type(v) in odd))}")
    try:
        ids = np.array(value, np.int64)
    except OverflowError:
        raise Bad("tokens", f"the id {max(value, key=abs)} is beyond int32") from None
    return _checked(ids)


def _checked(ids: np.ndarray) -> np.ndarray:
    """Whole numbers as int32, if they are ids."""
    if ids.dtype.kind not in "iu":
        raise Bad("tokens", f"expected whole numbers, got {ids.dtype}")
    if len(ids) and ids.min() < 0:
        raise Bad("tokens", f"the id {ids.min()} is negative")
    if len(ids) and ids.max() >= INT32:
        raise Bad("tokens", f"the id {ids.max()} is beyond int32")
    return ids.astype(np.int32)


def flags_of(value: list[Any] | np.ndarray, labels: bool = False) -> np.ndarray:
    """Whether each token is in the loss: true or 1; of labels anything but -100."""
    if isinstance(value, np.ndarray) and value.dtype == bool:
        return value
    value = value.tolist() if isinstance(value, np.ndarray) else value
    types = set(map(type, value))
    if types - {bool, int, float}:
        other = _first_other(value, (bool, int, float))
        raise Bad("mask", f"expected true and false or 0 and 1, got {described(other)}")
    if labels:
        return np.array(value, object) != -100
    if set(value) - {0, 1}:
        raise Bad("mask", f"expected 0 and 1, got {described(next(v for v in value if v not in (0, 1)))}")
    return np.array(value, bool)


def _first_other(value: list[Any], types: tuple[type, ...]) -> Any:
    """The first item of another type, for a message."""
    return next(v for v in value if type(v) not in types)


def floats_of(value: list[Any] | np.ndarray, field: str) -> np.ndarray:
    """One number per token as float32; one that is no log-probability (-inf, NaN) as the sentinel, left out later."""
    if not isinstance(value, np.ndarray) and set(map(type, value)) - {int, float, type(None)}:
        raise Bad(field, f"expected numbers, got {described(_first_other(value, (int, float)))}")
    try:
        floats = np.array(value, np.float64)  # None becomes NaN
    except OverflowError:  # a whole number of hundreds of digits
        floats = np.array([np.nan if v is None or abs(v) >= LARGE else v for v in value], np.float64)
    # The completion is as good as any other: without its row the tree and the advantages of its group would change.
    return np.where(np.abs(floats) < LARGE, floats, SENTINEL).astype(np.float32)


def truncated_of(value: Any) -> bool | None:
    """Stopped by the length limit, as a flag or as the reason that a sampler gives."""
    if isinstance(value, str):
        return value in CUT_BY_LENGTH
    return bool(value) if isinstance(value, bool | int) else None


def kept_of(value: Any, kind: str) -> Any:
    """A column that is taken along: as it is, or as JSON where it is no plain value."""
    if value is MISSING or value is None:
        return None
    if wanted := _SCALAR.get(kind):
        value = parsed(value)  # a cell of a CSV is text
        # A table holds integers of 64 bits; those of Python have no end, and the largest are no floats either.
        return value if isinstance(value, wanted) and not (type(value) is int and abs(value) >= 2**63) else None
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return text.encode("utf-8", "replace").decode()


def described(value: Any) -> str:
    """What a value is, for a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:30]!r}"
    if isinstance(value, int | float):
        number = f"{value}"
        return number if len(number) < 40 else f"{number[:20]}..."  # whole numbers may have thousands of digits
    return "a list" if isinstance(value, list) else "an object"
