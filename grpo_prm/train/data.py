"""Prompts to train on, from a file or from the hub, as the token ids that the model reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError, UsageError
from ..logs.chunks import CHUNK
from ..logs.columns.first_rows import MISSING, at, check_present
from ..logs.containers.registry import container_of
from ..logs.formats.inner_array import rows_inside
from ..logs.layouts.find import find_sources
from ..logs.rows.chat import messages_of
from ..logs.rows.values import Bad
from ..logs.sources import PACKED, SUFFIXES, Source

TASK = "task"  # column that says which task of a mix a row is of, if there is one
ANSWER = "answer"  # the column's usual name: data without answers need not have it

Rows = list[tuple[str, dict[str, Any]]]  # where each stands, for messages, and its columns


class PromptRow(NamedTuple):
    """One prompt.

    Attributes:
        text: As the model reads it, chat template included.
        ids: Its tokens.
        answer: The right answer, if the data give one.
        row: All columns of its row.
        task: Which task it is of, where that is known.
    """

    text: str
    ids: list[int]
    answer: str | None
    row: dict[str, Any]
    task: str | None = None


def load_prompts(
    source: str | Path,
    prompt_column: str = "prompt",
    answer_column: str = ANSWER,
    system: str | None = None,
    tokenizer: Any = None,
    split: str = "train",
) -> list[PromptRow]:
    """Read prompts.

    Args:
        source: A file or folder (JSON lines, JSON, parquet, CSV; .gz and .zst too), or a data set of the hub as NAME or
            NAME:CONFIGURATION.
        prompt_column: Holds text or a list of messages with role and content; a dotted path reaches into objects.
        answer_column: Holds the right answer; numbers become text, lists and objects JSON.
        system: System message; takes the place of a chat's own.
        tokenizer: Of transformers. With a chat template a text is the user's message, and every prompt goes through
            the template; without one texts are taken as they are, after the system message and a blank line.
        split: Of a data set of the hub.

    Returns:
        One entry a row, in the order of the data.

    Raises:
        UsageError: A column that is not there, chats without a template, a data set that needs `datasets`.
        InputError: No rows; a row that cannot be read, or that lacks a value that others have.
    """
    name = str(source)
    rows = _from_file(name) if _is_file(name) else _from_hub(name, split)
    if not rows:
        raise InputError(f"{name}: there are no rows. Give at least one prompt.")
    values = [row for _, row in rows]
    check_present(values, prompt_column, name, "--prompt-column")
    if answer_column != ANSWER:
        check_present(values, answer_column, name, "--answer-column")
    # without the usual column there are no answers; where some rows have it, all must
    answered = any(at(row, answer_column) is not MISSING for row in values)
    answers = [_answer(where, row, answer_column) if answered else None for where, row in rows]
    prompts = [_value(where, row, prompt_column) for where, row in rows]
    template = bool(getattr(tokenizer, "chat_template", None))
    texts = [
        _rendered(where, prompt_column, prompt, system, tokenizer if template else None)
        for (where, _), prompt in zip(rows, prompts, strict=True)
    ]
    ids = _tokenized(texts, tokenizer, start=not template)
    for (where, _), some in zip(rows, ids, strict=True):
        if not some:
            raise InputError(f"{where}: the column {prompt_column} gives no tokens. Leave the row out.")
    tasks = [task if isinstance(task := row.get(TASK), str) else None for row in values]
    return [PromptRow(*entry) for entry in zip(texts, ids, answers, values, tasks, strict=True)]


def asked(questions: Sequence[str], system: str | None, tokenizer: Any) -> list[tuple[str, list[int]]]:
    """Questions as a model reads them, text and token ids: through the chat template where the tokenizer has one.

    Args:
        questions: Texts, the user's message each.
        system: System message.
        tokenizer: Of transformers.
    """
    template = bool(getattr(tokenizer, "chat_template", None))
    texts = [_rendered("task", "question", text, system, tokenizer if template else None) for text in questions]
    return list(zip(texts, _tokenized(texts, tokenizer, start=not template), strict=True))


def _is_file(name: str) -> bool:
    """A path, there or not; anything else is a name on the hub."""
    path = Path(name)
    suffixes = {*SUFFIXES, *PACKED}
    return path.exists() or name.startswith((".", "/", "~")) or path.suffix.lower() in suffixes


def _from_file(name: str) -> Rows:
    return [row for source in find_sources([name]) for row in _checked(_records(source))]


def _records(source: Source) -> Iterator[tuple[str, Any]]:
    """Rows of a file and where each stands."""
    container = container_of(source)
    where = f"{source.name}: row " if container.name in ("json", "parquet") else f"{source.name}:"
    for some in container.open(source, CHUNK):
        for record in some.records:
            if container.name == "json" and isinstance(record.value, dict) and (inside := rows_inside(record.value)):
                yield from ((f"{where}{number}", row) for number, row in enumerate(inside, 1))
            else:
                yield f"{where}{record.line}", record.value


def _checked(records: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for where, value in records:
        if not isinstance(value, dict):
            reason = value.reason if isinstance(value, Bad) else "not an object"
            raise InputError(f"{where}: {reason}. Each row is an object, {{...}}, with a column for the prompt.")
        yield where, value


def _from_hub(name: str, split: str) -> Rows:
    try:
        import datasets
    except ImportError:
        raise UsageError(
            f"{name}: there is no such file, and a data set of the hub needs datasets."
            " Check the path, or install it: pip install datasets"
        ) from None
    path, _, configuration = name.partition(":")
    try:
        rows = datasets.load_dataset(path, configuration or None, split=split)
    except Exception as error:  # of many kinds: no network, no such set, configuration or split
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{name}: no such file, and the hub does not give its split {split}: {reason}."
            " A configuration is named NAME:CONFIGURATION, a split with --split."
        ) from None
    return [(f"{name}: row {n}", dict(row)) for n, row in enumerate(rows, 1)]


def _value(where: str, row: Mapping[str, Any], column: str) -> Any:
    value = at(row, column)
    if value is MISSING or value is None:
        near = get_close_matches(column, row, 1, 0.5) if value is MISSING else []
        hint = f"It has {near[0]}: is that the same?" if near else "Fill it in, or leave the row out."
        raise InputError(f"{where}: the column {column} is {'null' if value is None else 'missing'}. {hint}")
    return value


def _answer(where: str, row: Mapping[str, Any], column: str) -> str:
    value = _value(where, row, column)
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _rendered(where: str, column: str, prompt: Any, system: str | None, tokenizer: Any) -> str:
    """The text of a prompt, by the tokenizer's chat template or, without one, as it is."""
    messages = messages_of(prompt) if isinstance(prompt, str) else prompt
    if tokenizer is None:
        if not isinstance(prompt, str) or messages is not None:
            raise UsageError(
                f"{where}: the column {column} holds messages, and the tokenizer has no chat template."
                " Use a chat model, or give the prompts as text."
            )
        return f"{system}\n\n{prompt}" if system else prompt
    if isinstance(prompt, str) and messages is None:
        messages = [{"role": "user", "content": prompt}]
    chat = _chat(where, column, messages, system)
    try:
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    except Exception as error:  # templates raise what they like
        raise InputError(f"{where}: the chat template refuses the column {column}: {error}. Change the row.") from None


def _chat(where: str, column: str, messages: Any, system: str | None) -> list[dict[str, Any]]:
    """Messages without the nulls that parquet puts in, under the system message asked for."""
    messages = [messages] if isinstance(messages, Mapping) else messages
    if (
        not isinstance(messages, list)
        or not messages
        or not all(isinstance(m, Mapping) and m.get("role") for m in messages)
    ):
        raise InputError(f"{where}: the column {column} is neither text nor messages with a role. Change the row.")
    # parquet gives every message the keys of all; templates take `tool_calls: null` for a call
    chat = [{key: value for key, value in message.items() if value is not None} for message in messages]
    if chat[-1]["role"] == "assistant":
        raise InputError(
            f"{where}: the column {column} ends with the assistant's message. A prompt ends before it: leave it out."
        )
    if system:
        chat = [{"role": "system", "content": system}, *(m for m in chat if m["role"] != "system")]
    return chat


def _tokenized(texts: Sequence[str], tokenizer: Any, *, start: bool) -> list[list[int]]:
    """Token ids of each text, after the start token if the tokenizer puts one and no template has written it."""
    first = tokenizer("")["input_ids"][:1] if start else []
    # only a start token: a tokenizer may put other tokens around an empty text
    if first != [getattr(tokenizer, "bos_token_id", None)]:
        first = []
    return [first + ids for ids in tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
