"""Edits of a log: of one value of its JSON, or of its bytes. Few and small numbers, so that they can be made fewer."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

# What stands in place of a value: what real logs hold by mistake, and what no log should.
VALUES = (
    None, True, 0, -1, 2**31, 2**63, 10**400, 0.5, -1e308, float("nan"), float("inf"), "", "0.5", "pass", "x" * 300,
    "\ud800", "\x00", "[1, 2]", '{"role": "user"}', [], [None], [0.5], ["a"], [[1]], [{}], {}, {"role": "assistant"},
    {"role": "assistant", "content": [{"type": "image_url", "image_url": 3}]}, {"a": {"a": {"a": {}}}},
)  # fmt: skip
BYTES = (
    b"",
    b"\x00",
    b"\xff\xfe",
    b"\n",
    b"{",
    b"]",
    b'"',
    b",",
    b"\\ud800",
    b"NaN",
    b"9" * 400,
    b"[" * 2000,
    b"PK\x03\x04",
)
PLACE = st.floats(0, 1, exclude_max=True)
EDITS = st.one_of(
    st.tuples(st.just("value"), PLACE, PLACE, st.integers(0, len(VALUES) - 1)),
    st.tuples(st.sampled_from(("delete", "twice", "wrap", "text")), PLACE, PLACE, st.just(0)),
    st.tuples(st.just("bytes"), PLACE, PLACE, st.integers(0, len(BYTES) - 1)),
    st.tuples(st.sampled_from(("cut", "flip", "drop")), PLACE, PLACE, st.integers(0, 20)),
)


def damaged(files: dict[str, bytes], edits: list[tuple]) -> dict[str, bytes]:
    """The files of a log after some edits, each (kind, which file, where in it, with what)."""
    files = dict(files)
    for kind, which, where, number in edits:
        name = sorted(files)[int(which * len(files))]
        try:
            files[name] = _edited(name, files[name], kind, where, number)
        except (ValueError, UnicodeError, RecursionError):
            continue  # the file is no JSON any more
    return files


def _edited(name: str, data: bytes, kind: str, where: float, number: int) -> bytes:
    at = int(where * (len(data) + 1))
    if kind == "bytes":
        return data[:at] + BYTES[number] + data[at + len(BYTES[number]) // 2 :]
    if kind == "cut":
        return data[:at]
    if kind == "flip":
        return data[:at] + bytes(b ^ (1 << number % 8) for b in data[at : at + 1]) + data[at + 1 :]
    if kind == "drop":
        return data[:at] + data[at + number :]
    if name.endswith((".jsonl", ".json")):
        lines = data.split(b"\n") if name.endswith(".jsonl") else [data]
        line = int(where * len(lines)) if name.endswith(".jsonl") else 0
        inside = where * len(lines) % 1 if name.endswith(".jsonl") else where
        value = _changed(json.loads(lines[line]), kind, inside, number)
        lines[line] = json.dumps(value).encode()
        return b"\n".join(lines)
    return data


def _changed(value: Any, kind: str, where: float, number: int) -> Any:
    """A JSON value, one of the values in it changed."""
    root = [copy.deepcopy(value)]
    places = list(_places(root))
    holder, key = places[int(where * len(places))]
    one = holder[key]
    if kind == "value":
        holder[key] = VALUES[number]
    elif kind == "delete" and holder is not root:
        del holder[key]
    elif kind == "twice":
        holder[key] = [one, copy.deepcopy(one)]
    elif kind == "wrap":
        holder[key] = [one]
    elif kind == "text":
        holder[key] = json.dumps(one)
    return root[0]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a value: what holds it, and the key or index."""
    for key in value if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])
