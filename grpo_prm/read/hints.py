"""What a log that is not understood may mean: the --columns that would do it, for the message that refuses the log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from .look import MISSING, Rows, at, kind_of, listed, names_of
from .plan import NAMES

_TEXTS = ("text", "texts", "chat", "chats", "lists")
_NUMBERS = ("bool", "float", "int", "bools", "floats", "ints")
_GOOD = re.compile(r"reward|score|correct|right|accura|\bacc\b|pass|success|return|\br$", re.IGNORECASE)
_DEPTH = 6
_OTHERS = {name for column, names in NAMES.items() if column != "completion" for name in names}


def where_completions_may_be(rows: Rows, name: str, from_text: bool, known: bool) -> str:
    """The message for a log without completions.

    Args:
        rows: The first rows.
        name: The file.
        from_text: The log is CSV.
        known: The reward has been found.
    """
    if deep := next(_buried(rows), None):
        return (
            f"{name}: the completions seem to stand under {deep}, in lists within lists, which cannot be read yet."
            " Write one JSON object per line, with completion, reward and group."
        )
    said = f"{name}: no column holds completions; there are {listed(rows)}."
    kinds = {path: kind_of(rows, path, from_text) for path in names_of(rows) if path not in _OTHERS}
    texts = {path: _text_under(rows, path) for path, kind in kinds.items() if kind in _TEXTS}
    best = max(texts, key=lambda path: (len(set(texts[path])), sum(map(len, texts[path]))), default=None)
    if best is None or not texts[best]:
        return f"{said} Name it with --columns completion=NAME, or tokens=NAME for ids."
    reward = "" if known else next((f",reward={path}" for path in _rewards(rows, from_text, best)), "")
    return f"{said} Perhaps it is --columns completion={best}{reward}; ids are tokens=NAME."


def perhaps_reward(rows: Rows, from_text: bool, completion: str) -> str:
    """What to do about a log without a reward."""
    found = [path for path in _rewards(rows, from_text, completion) if _GOOD.search(path)]
    if found:
        return f"Perhaps it is --columns reward={found[0]}, or a weighted sum with --reward."
    return "Name it with --columns reward=NAME, or a weighted sum with --reward."


def perhaps_group(rows: Rows, from_text: bool) -> str:
    """What to do about a log without groups: a column whose values come several times."""
    for path in names_of(rows):
        if kind_of(rows, path, from_text) in ("int", "text"):
            values = [json.dumps(v) for row in rows if (v := at(row, path)) is not MISSING]
            if len(set(values)) > 1 and 2 * len(set(values)) <= len(values) and path not in NAMES["step"]:
                return f"Perhaps it is --columns group={path}."
    return "Name a column with --columns group=NAME."


def _rewards(rows: Rows, from_text: bool, completion: str) -> Iterator[str]:
    """Columns that may hold the reward, the likelier ones first; one number for each completion of a row."""
    wanted = [_count(at(row, completion)) for row in rows]
    paths = [path for path in names_of(rows) if kind_of(rows, path, from_text) in _NUMBERS and path != completion]
    for path in sorted(paths, key=lambda p: (not _GOOD.search(p), -len(p.split(".")))):
        counts = [_count(at(row, path)) for row in rows]
        if counts == wanted or (_several(wanted) is False and _several(counts) is False):
            yield path


def _count(value: Any) -> int | None:
    """Length of a list of anything but messages, None for another value."""
    return len(value) if isinstance(value, list) and not (value and isinstance(value[0], dict)) else None


def _several(counts: list[int | None]) -> bool:
    return any(count is not None for count in counts)


def _text_under(rows: Rows, path: str) -> list[str]:
    """What the first rows say under a path, as JSON; numbers are no text."""
    return [json.dumps(v, default=str) for row in rows[:50] if (v := at(row, path)) is not MISSING and _text(v)]


def _text(value: Any) -> bool:
    if isinstance(value, list):
        return any(map(_text, value))
    return isinstance(value, str) or (isinstance(value, dict) and "role" in value)


def _buried(rows: Rows) -> Iterator[str]:
    """Paths of completions that stand in two lists of objects or more."""
    for row in rows[:3]:
        yield from _below(row, "", 0, 0)


def _below(value: Any, path: str, lists: int, depth: int) -> Iterator[str]:
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" not in value[0]:
        yield from _below(value[0], path, lists + 1, depth + 1)
    elif isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            if lists >= 2 and key in NAMES["completion"]:
                yield here
            yield from _below(inner, here, lists, depth + 1)
