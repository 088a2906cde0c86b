"""What a log that is not understood may mean: the --columns that would do it, for the message that refuses the log."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ..memory import NAME, columns_option
from .first_rows import MISSING, Rows, at, kind_of, listed, names_of
from .plan import NAMES

_TEXTS = ("text", "texts", "chat", "chats", "lists")
_NUMBERS = ("bool", "float", "int", "bools", "floats", "ints")
_KEYS = ("int", "text")
_MAY_BE_KEYS = ("group", "prompt", "problem", "task")  # columns whose names may be those of a group as well
_LACKING = {"completion": "completions", "reward": "the reward", "group": "what tells the groups apart"}
# Names of columns that label a row, of those that hold a reward, and how deep completions are looked for.
_LABEL = re.compile(r"(^|[._])(u?u?id|hash|key|name|date|time|timestamp|path|file|url|model)s?$", re.IGNORECASE)
_GOOD = re.compile(r"reward|score|correct|right|accura|\bacc\b|pass|success|return|\br$", re.IGNORECASE)
_DEPTH = 6
_OTHERS = {name for column, names in NAMES.items() if column != "completion" for name in names}


def refusal(rows: Rows, name: str, guesses: Mapping[str, str | None]) -> str:
    """The message for a log that lacks completions, rewards or groups: all that it lacks, and what may be meant.

    Args:
        rows: The first rows.
        name: The file.
        guesses: What is missing, of `completion`, `reward` and `group` in this order, to a column that may be meant.
    """
    if "completion" in guesses and (deep := next(_buried(rows), None)):
        return (
            f"{name}: the completions seem to stand under {deep}, in lists within lists, which cannot be read yet."
            " Write one JSON object per line, with completion, reward and group."
        )
    lacks = _one_of([_LACKING[column] for column in guesses])
    problem = f"no column holds {lacks}"
    if list(guesses) == ["group"]:
        problem = "neither a group key nor a prompt tells the groups apart"
    guessed = any(guesses.values())
    how = "Perhaps it is" if guessed else "Name it with" if len(guesses) == 1 else "Name them with"
    option = columns_option(name, {column: path or "NAME" for column, path in guesses.items()})
    more = ""
    if "completion" in guesses:
        more = "; ids are tokens=NAME" if guessed else ", or tokens=NAME for ids"
    elif "reward" in guesses:
        more = f", or a weighted sum with {'ReadOptions(reward=...)' if name == NAME else '--reward'}"
    return f"{name}: {problem}; there are {listed(rows)}. {how} {option}{more}."


def _one_of(names: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def perhaps_completion(rows: Rows, from_text: bool) -> str | None:
    """A column of texts that are different and long, unless its name says that they are something else."""
    kinds = {path: kind_of(rows, path, from_text) for path in names_of(rows) if path not in _OTHERS}
    texts = {
        path: _text_under(rows, path) for path, kind in kinds.items() if kind in _TEXTS and not _LABEL.search(path)
    }
    # Most different texts first, then the longest: a completion differs from row to row, a prompt or a label repeats.
    best = max(texts, key=lambda path: (len(set(texts[path])), sum(map(len, texts[path]))), default=None)
    return best if best and texts[best] else None


def perhaps_reward(rows: Rows, from_text: bool, completion: str) -> str | None:
    """A column of numbers that is called like a reward, or has one for each completion of a row."""
    for path in _rewards(rows, from_text, completion):
        if _GOOD.search(path) or _several([_count(at(row, path)) for row in rows]):
            return path
    return None


def perhaps_group(rows: Rows, from_text: bool, taken: Collection[str | None]) -> str | None:
    """Of the columns whose values come several times, one with the most values; not one that is something else."""
    others = {name for column, names in NAMES.items() if column not in _MAY_BE_KEYS for name in names}
    values_of: dict[str, int] = {}
    for path in names_of(rows):
        if path in taken or path in others or _GOOD.search(path) or kind_of(rows, path, from_text) not in _KEYS:
            continue
        values = [json.dumps(v) for row in rows if (v := at(row, path)) is not MISSING]
        # One value for all is no group, and neither is a value that comes once: two rows for each, on average.
        if len(set(values)) > 1 and 2 * len(set(values)) <= len(values):
            values_of[path] = len(set(values))
    return max(values_of, key=lambda path: values_of[path], default=None)


def _rewards(rows: Rows, from_text: bool, completion: str) -> Iterator[str]:
    """Columns that may hold the reward, the likelier ones first; one number for each completion of a row."""
    wanted = [_count(at(row, completion)) for row in rows]
    numbers = [path for path in names_of(rows) if kind_of(rows, path, from_text) in _NUMBERS]
    paths = [path for path in numbers if path != completion and path not in _OTHERS]
    for path in sorted(paths, key=lambda p: (not _GOOD.search(p), -len(p.split(".")))):
        counts = [_count(at(row, path)) for row in rows]
        if counts == wanted or (_several(wanted) is False and _several(counts) is False):
            yield path


def _count(value: Any) -> int | None:
    """Length of a list of anything but messages, None for another value."""
    return len(value) if isinstance(value, list) and not (value and isinstance(value[0], dict)) else None


def _several(counts: list[int | None]) -> bool:
    """Does a row hold a list?"""
    return any(count is not None for count in counts)


def _text_under(rows: Rows, path: str) -> list[str]:
    """What the first rows say under a path, as JSON; numbers are no text."""
    return [json.dumps(v, default=str) for row in rows[:50] if (v := at(row, path)) is not MISSING and _text(v)]


def _text(value: Any) -> bool:
    """Is it text, a message, or a list of these?"""
    if isinstance(value, list):
        return any(map(_text, value))
    return isinstance(value, str) or (isinstance(value, dict) and "role" in value)


def _buried(rows: Rows) -> Iterator[str]:
    """Paths of completions that stand in two lists of objects or more."""
    for row in rows[:3]:
        yield from _below(row, "", 0, 0)


def _below(value: Any, path: str, lists: int, depth: int) -> Iterator[str]:
    """See `_buried`; `lists` of objects have been entered on the way to `value`."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "role" not in value[0]:
        yield from _below(value[0], path, lists + 1, depth + 1)
    elif isinstance(value, dict) and depth < _DEPTH:
        for key, inner in value.items():
            here = f"{path}.{key}" if path else key
            if lists >= 2 and key in NAMES["completion"]:
                yield here
            yield from _below(inner, here, lists, depth + 1)
