"""Chats to text, the same text for the same conversation however it was logged (definitions: Chat to text).

Ids of tool calls, timestamps and fields that a parquet writer filled with nulls differ between completions that say the
same, so only these are kept: role, reasoning, content, and tool calls as name and sorted arguments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

NULLS = (None, "None", "", [], {})  # str(None) is how some frameworks write a message without content
# Roles of the policy: the first one, and in a chat without it the others.
MODEL = ("assistant", "agent", "model", "ai", "gpt", "bot")


def segments(messages: list[Any]) -> list[tuple[str, bool]]:
    """Cut a chat into texts, each in the loss or out of it.

    Args:
        messages: As from `messages_of`.

    Returns:
        Message by message its role line (out of the loss) and its content (in the loss if a flag `trainable` of the
        message says so, or without the flag if the role is one of `model_roles`). Joined they are the whole text.

    Raises:
        ValueError: A message without a role, or a content that is not text.
    """
    return list(_segments(messages, model_roles(messages)))


def model_roles(messages: Iterable[Any]) -> set[str]:
    """The roles whose messages are the policy's: `assistant`, or in a chat without it those of `MODEL` that it has."""
    found = {role for message in messages if (role := role_of(message)) in MODEL}
    return {MODEL[0]} if MODEL[0] in found else found


def role_of(message: Any) -> str | None:
    """The role of a message in lower case; None where it has none that is text."""
    role = message.get("role") if isinstance(message, Mapping) else None
    return role.strip().lower() if isinstance(role, str) else None


def messages_of(value: Any) -> list[Any] | None:
    """The messages of a chat: a list of objects, one message, or a string that is the JSON of either.

    Returns:
        The messages; None for plain text and anything else, text that is JSON of something else included.
    """
    if isinstance(value, dict) and "role" in value:
        return [value]
    if not isinstance(value, str):
        return value if isinstance(value, list) and all(isinstance(m, dict) for m in value) else None
    if value.lstrip()[:1] not in ("[", "{") or '"role"' not in value:
        return None
    try:
        messages = json.loads(value)
    except (ValueError, RecursionError):
        return None
    messages = [messages] if isinstance(messages, dict) else messages
    # Stricter than above: a completion may well be JSON of its own, and then it is text.
    return messages if messages and all(isinstance(m, dict) and "role" in m for m in messages) else None


def attachments(messages: Iterable[Any]) -> Iterator[str]:
    """A mark for each part of a chat that is no text (an image, say): its type, and a hash that tells it from others.

    Prompts with the same question about two images are two prompts. A part of which only the type is left has no mark.
    """
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else [content]:
            if isinstance(part, Mapping) and part.get("text") in NULLS:
                rest = {key: inner for key, inner in _without_nulls(part).items() if key not in ("type", "text")}
                if rest:
                    digest = hashlib.blake2b(json.dumps(rest, sort_keys=True, default=str).encode(), digest_size=6)
                    yield f"[{part.get('type', 'part')} {digest.hexdigest()}]"


def _segments(messages: Iterable[Any], models: set[str]) -> Iterator[tuple[str, bool]]:
    for number, message in enumerate(messages):
        role = message.get("role") if isinstance(message, Mapping) else None
        if not isinstance(role, str):
            raise ValueError(f"message {number + 1} has no role")
        yield ("\n" if number else "") + f"<{role}>\n", False
        if body := "\n".join(_body(message)):
            trained = message.get("trainable")  # ART, and formats that flatten to chats, mark the policy's own turns
            yield body, trained if isinstance(trained, bool) else role_of(message) in models


def _body(message: Mapping[str, Any]) -> Iterator[str]:
    """Reasoning, content and tool calls of a message, each only where there is one."""
    for content in (message.get("reasoning_content"), message.get("content")):
        if text := _content(content):
            yield text
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
    return " ".join(text for text in (name, arguments) if text not in NULLS)


def _parsed(value: Any) -> Any:
    """The list or object that a string spells as JSON, else the value."""
    if not isinstance(value, str):
        return value
    try:
        parsed = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return parsed if isinstance(parsed, dict | list) else value  # the argument "3" stays text


def _without_nulls(value: Any) -> Any:
    """Leave out keys without a value: a parquet column of structs gives every call the arguments of all the others."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner not in (None, "None")}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
