"""Cut off what is logged inside a completion and is none of it, as the plan says (`columns.inside`), and count it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..columns.first_rows import MISSING
from ..columns.plan import Inside
from .chat import messages_of, segments
from .members import LENGTH, PROMPT_IDS, START
from .values import json_list

_PROMPT = "The prompt is cut off the front of {completions}, where it stands again."
_TEMPLATE = "Behind the prompt the words of a template are cut off too, in {completions}."
_FRONT = "The prompt is cut off the front of {completions}: as many ids as the log says that it has."
_LEFT = "The id {pad} that fills lists up to one length is cut off the front of {{completions}} as padding."
_WHOLE = "Taken whole, as they do not begin with their prompt like the others: {completions}."
_TURNS = "Leading turns that are marked as not trained on are taken for the prompt and cut off, in {completions}."
_LONGER = "The prompt is cut off the front of {completions}: their tokens are more than the logged length."
_SHORTER = "Padding is cut off the end of {completions}: their tokens are more than the logged length."


def without_prompt(value: Any, prompt: Any, inside: Inside, said: list[str]) -> Any:
    """A text or chat without the prompt that it begins with.

    Args:
        value: The completion as it is logged.
        prompt: The prompt of the row, as it is logged.
        inside: `inside.prompt` says whether texts begin with their prompts; chats are seen to by their messages.
        said: Gets what was done.

    Returns:
        The rest of the text, or the rest of the messages; the value itself where nothing is cut.
    """
    messages = messages_of(value)
    if messages:
        return _without_messages(messages, prompt, said) or value
    if not inside.prompt or not isinstance(value, str) or not isinstance(prompt, str) or not prompt:
        return value
    if not value.startswith(prompt):
        prompt = prompt.strip()
    if not prompt or not value.startswith(prompt):
        said.append(_WHOLE)
        return value
    said.append(_PROMPT)
    rest = value[len(prompt) :]
    if inside.template and rest.startswith(inside.template):
        said.append(_TEMPLATE)
        return rest[len(inside.template) :]
    return rest


def _without_messages(messages: list[Any], prompt: Any, said: list[str]) -> list[Any] | None:
    """The messages behind those of the prompt, and behind leading ones that are not trained on; None: all of them."""
    before = messages_of(prompt) if prompt not in (None, MISSING) else None
    begins = 0
    if before and before[0].get("role") == messages[0].get("role") and _same(messages[: len(before)], before):
        begins = len(before)
        said.append(_PROMPT)
    if any(isinstance(message.get("trainable"), bool) for message in messages):
        trained = (n for n, m in enumerate(messages) if n >= begins and m.get("trainable") is not False)
        if (first := next(trained, begins)) > begins:
            begins = first
            said.append(_TURNS)
    return messages[begins:] if begins else None


def _same(messages: list[Any], others: list[Any]) -> bool:
    return len(messages) == len(others) and segments(messages) == segments(others)


def span_of(ids: np.ndarray, values: Mapping[str, Any], inside: Inside, said: list[str]) -> tuple[int, int]:
    """Where the ids of the completion begin and end.

    Args:
        ids: int32, as they are logged.
        values: Of the completion; `members.PROMPT_IDS`, `START` and `LENGTH` are used.
        inside: What the ids hold.
        said: Gets what was done.

    Returns:
        The first id and the one behind the last.
    """
    start, stop = 0, len(ids)
    prompt, length = json_list(values.get(PROMPT_IDS)), json_list(values.get(LENGTH))
    if isinstance(prompt, list | np.ndarray) and len(prompt):
        if np.array_equal(prompt, ids[: len(prompt)]):
            start = len(prompt)
        said.append(_PROMPT if start else _WHOLE)
    front = _whole_number(values.get(START))
    if front is not None and 0 < front < len(ids):
        start = front
        said.append(_FRONT)
    length = _whole_number(length)
    if length is not None and 0 <= length < len(ids):
        start, stop = (0, length) if inside.behind else (len(ids) - length, len(ids))
        said.append(_SHORTER if inside.behind else _LONGER)
    if inside.pad is not None and inside.left:
        others = np.flatnonzero(ids != inside.pad)
        start = int(others[0]) if len(others) else stop
        said.extend([_LEFT.format(pad=inside.pad)] * (start > 0))
    elif inside.pad is not None:
        stop = _before_pads(ids, start, inside, said)
    return start, stop


def _whole_number(value: Any) -> int | None:
    """A number of ids, of a CSV too."""
    value = int(value) if isinstance(value, str) and value.isdigit() else value
    return value if type(value) is int else None


def _before_pads(ids: np.ndarray, start: int, inside: Inside, said: list[str]) -> int:
    """Where the padding begins; a pad that is the end token stands once."""
    others = np.flatnonzero(ids[start:] != inside.pad)
    stop = start + (int(others[-1]) + 1 if len(others) else 0)
    stop += inside.ends and stop < len(ids)
    if stop < len(ids):
        kept = ", but for one, which is the end token" if inside.ends else ""
        said.append(
            f"The id {inside.pad} that fills lists up to one length is cut off the end of {{completions}} as padding"
            f"{kept}. If it is none, a mask says so: --columns mask=NAME."
        )
    return stop
