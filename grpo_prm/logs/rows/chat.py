"""Chats to text, the same text for the same conversation however it was logged (SPEC: Chat to text).

Ids of tool calls, timestamps and fields that a parquet writer filled with nulls differ between completions that say the
same, so only what was said is kept: role, reasoning, content, and tool calls as name and sorted arguments.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NULLS = (None, "None", "", [], {})  # str(None) is how some frameworks write a message without content


def text(value: Any) -> str:
    """The text of a chat, or of a plain string.

    Args:
        value: As for `parts`.
    """
    return "".join(piece for piece, _ in parts(value))


def parts(value: Any) -> list[tuple[str, bool]]:
    """Cut a completion into text and whether it is in the loss.

    Args:
        value: A list of messages, one message, the JSON of either, or plain text.

    Returns:
        For plain text the text itself, in the loss. For a chat, message by message, the role line (out of the loss)
        and what was said (in the loss if the role is assistant). Joined they are the whole text.

    Raises:
        ValueError: Not text, not messages, or a message without a role.
    """
    if isinstance(value, str):
        messages = messages_of(value)
        if messages is None:
            return [(value, True)]
        value = messages
    messages = [value] if isinstance(value, Mapping) else value
    if not isinstance(messages, list):
        raise ValueError(f"expected text or messages, got {type(value).__name__}")
    return list(_parts(messages))


def messages_of(value: str) -> list[Any] | None:
    """The messages that a string spells as JSON; None for other text, a JSON list of anything else included."""
    if value.lstrip()[:1] not in ("[", "{") or '"role"' not in value:
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return None
    found = [found] if isinstance(found, dict) else found
    return found if found and all(isinstance(m, dict) and "role" in m for m in found) else None


def _parts(messages: Iterable[Any]) -> Iterator[tuple[str, bool]]:
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if not isinstance(role, str):
            raise ValueError(f"message {number + 1} has no role")
        yield ("\n" if number else "") + f"<{role}>\n", False
        if said := "\n".join(_said(message)):
            yield said, role == "assistant"


def _said(message: Mapping[str, Any]) -> Iterator[str]:
    """Reasoning, content and tool calls of a message, each only where there is one."""
    for content in (message.get("reasoning_content"), message.get("content")):
        if said := _content(content):
            yield said
    for call in _calls(message.get("tool_calls")):
        yield _call(call)


def _content(content: Any) -> str:
    """The text of a content: itself, or its text parts; images and the like have none."""
    if content in NULLS:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        return _content(content.get("text"))
    if isinstance(content, list):
        return "".join(map(_content, content))
    raise ValueError(f"content is {type(content).__name__}, not text")


def _calls(calls: Any) -> list[Any]:
    """Tool calls, each parsed: verifiers and others log them as JSON strings."""
    calls = _parsed(calls)
    if calls in NULLS:
        return []
    return [_parsed(call) for call in (calls if isinstance(calls, list) else [calls])]


def _call(call: Any) -> str:
    """A call on one line: name, a space, arguments. OpenAI nests both under `function`; others write them flat."""
    if not isinstance(call, Mapping):
        return str(call)
    function = call.get("function")
    inner = function if isinstance(function, Mapping) else call
    name = function if isinstance(function, str) else inner.get("name")
    arguments = _without_nulls(_parsed(inner.get("arguments")))
    if not isinstance(arguments, str):
        arguments = "" if arguments is None else json.dumps(arguments, sort_keys=True, ensure_ascii=False)
    return " ".join(part for part in (name, arguments) if part not in NULLS)


def _parsed(value: Any) -> Any:
    """The list or object that a string spells as JSON, else the value."""
    if not isinstance(value, str):
        return value
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, dict | list) else value


def _without_nulls(value: Any) -> Any:
    """Leave out keys without a value: a parquet column of structs gives every call the arguments of all the others."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner not in (None, "None")}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
