"""How `--task` names tasks: `chain`, `reasoning-gym:NAME?param=value&...`, or several of the latter with commas."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from ..errors import UsageError

GYM = "reasoning-gym:"
OPENING, CLOSING = "[{(", "]})"
FEW = 3  # tasks of a mix that a folder is named after
WORDS = {"True": True, "False": False, "None": None}  # as Python writes them, beside those of JSON


def names(spec: str) -> list[str]:
    """The tasks of a mix, one of a single task. A comma inside brackets or quotes belongs to a parameter.

    Raises:
        UsageError: A name is empty, or stands twice.
    """
    found, depth, quoted = [""], 0, False
    for letter in spec:
        quoted ^= letter == '"'
        if not quoted:
            depth += (letter in OPENING) - (letter in CLOSING)
        if letter == "," and depth <= 0 and not quoted:
            found.append("")
        else:
            found[-1] += letter
    found = [name.strip() for name in found]
    if not all(found):
        raise UsageError(f"--task {spec}: a name is empty. Write tasks with one comma between two.")
    if twice := next((name for name in found if found.count(name) > 1), None):
        raise UsageError(f"--task {spec}: {twice} stands there twice. Give each task once.")
    return found


def for_a_model(spec: str | None) -> bool:
    """Are these tasks for a model of the user's, since they bring no small one?"""
    return spec is not None and spec.startswith(GYM)


def parameters(name: str) -> tuple[str, dict[str, Any]]:
    """The data set of one task of reasoning-gym, and its parameters; values are JSON, or else text.

    Raises:
        UsageError: A parameter is no `param=value`, or stands twice.
    """
    dataset, _, query = name.removeprefix(GYM).partition("?")
    given: dict[str, Any] = {}
    for pair in query.split("&") if query else []:
        param, equals, text = pair.partition("=")
        if not (param and equals):
            raise UsageError(f"{name}: {pair!r} is no parameter. Write it like {GYM}{dataset}?param=value&other=value.")
        if param in given:
            raise UsageError(f"{name}: {param} stands there twice. Give it once.")
        given[param] = _value(unquote(text))
    return dataset, given


def _value(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def short(spec: str) -> str:
    """For the name of a folder: `chain`, `products`, `gcd+products`, `6-tasks`."""
    every = names(spec)
    if len(every) > FEW:
        return f"{len(every)}-tasks"
    plain = dict.fromkeys(name.removeprefix(GYM).partition("?")[0] for name in every)
    return "+".join(re.sub(r"[^\w.-]", "_", name) for name in plain)
