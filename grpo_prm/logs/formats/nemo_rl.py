"""NeMo-RL's `train_data_step{N}.jsonl` and `val_data_step{N}.jsonl`: every value stands in a list of one.

From 0.6 on a row has the ids of prompt, response and padding, and a mask that opens the completion. Up to 0.5 it has
only text: the messages as strings, without roles. Validation rows hold chats. No version logs a group key: the rows of
one prompt are one group, k neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rows.values import Bad, described
from ..sources import Source
from . import generic

_SYSTEM = re.compile(r"\s*(?:<[^>]{1,30}>|\[[A-Z]+\])*\s*(?:system\b|<<SYS>>)", re.IGNORECASE)  # how templates open it
_UNTRAINED = "Some completions are out of the loss (sample_loss_mask 0): they stay members of their groups."


def _detect(head: Head) -> bool:
    """A batch cut into slices of one: content and rewards are lists of one value."""
    return head.has("content", "rewards", "idx") and any(
        isinstance(row, Mapping) and isinstance(row.get("content"), list) and isinstance(row.get("rewards"), list)
        for row in head.rows
    )


def flatten(record: Mapping[str, Any], _source: Source, chats: bool = False) -> Iterator[Row]:
    """The rows of a slice.

    Args:
        record: A line; `filtered_rewards`, where logged, are those of its rows (dynamic sampling), `rewards` are not.
        chats: Completions of text are chats, also those of one turn, as others in the log have several.
    """
    content, rewards = record["content"], record.get("filtered_rewards") or record["rewards"]
    if len(content) != len(rewards):
        raise Bad("reward", f"{len(rewards)} rewards for {len(content)} rollouts")
    for place, messages in enumerate(content):
        if not isinstance(messages, list) or not messages:
            raise Bad("completion", f"expected a list of messages, got {described(messages)}")
        ids = record.get("token_ids") is not None and not isinstance(messages[0], Mapping)
        units = _ids(record, place, messages) if ids else _texts(messages, chats)
        yield {**units, "reward": rewards[place]}


def _ids(record: Mapping[str, Any], place: int, messages: Sequence[Any]) -> Row:
    """Ids, mask and numbers of the completion: from the first token in the loss to the end of the input."""
    end = int(record["input_lengths"][place])
    ids, mask = record["token_ids"][place], record["token_loss_mask"][place][:end]
    opens = mask.index(1) if 1 in mask else end
    mask = list(map(bool, mask[opens:]))
    row: Row = {"prompt": ids[:opens], "completion": _joined(messages), "tokens": ids[opens:end], "mask": mask}
    for ours, name in (("logprobs", "generation_logprobs"), ("trainer_logprobs", "prev_logprobs")):
        if record.get(name) is not None:
            row[ours] = record[name][place][opens:end]
    if record.get("advantages") is not None:
        values = record["advantages"][place]
        if isinstance(values, list):  # one a token, and outside the loss it may be 0
            values = list(compress(values[opens:end], mask))
            values = values[0] if values and values.count(values[0]) == len(values) else values or None
        row["advantage"] = values
    if record.get("sample_loss_mask") is not None and not record["sample_loss_mask"][place]:
        row["mask"] = [False] * len(mask)
    return row


def _texts(messages: Sequence[Any], chats: bool) -> Row:
    """Prompt and completion of messages that have roles, or of strings that have none."""
    if isinstance(messages[0], Mapping):
        roles = [message.get("role") for message in messages]
        if "assistant" not in roles:
            raise Bad("completion", "no message of the assistant")
        opens = roles.index("assistant")
        return {"prompt": messages[:opens], "completion": messages[opens:]}
    opens = _opens(messages)
    said = messages[opens:]
    if len(said) == 1 and not chats:
        return {"prompt": "".join(messages[:opens]), "completion": said[0]}
    # The policy and the environment take turns, and the policy begins.
    turns = [{"role": ("assistant", "environment")[n % 2], "content": text} for n, text in enumerate(said)]
    return {"prompt": "".join(messages[:opens]), "completion": turns}


def _joined(messages: Sequence[Any]) -> str | None:
    """All that follows the prompt, to be shown beside its ids."""
    return "".join(messages[_opens(messages) :]) if all(isinstance(text, str) for text in messages) else None


def _opens(messages: Sequence[str]) -> int:
    """Messages of the prompt: one, or two where the first is that of the system."""
    return min(1 + bool(_SYSTEM.match(messages[0])), len(messages) - 1) or 1


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Open the files; where a rollout of text has several turns all of them are chats, so that they compare."""
    several = any(len(texts) - _opens(texts) > 1 for record in head.rows for texts in _texts_of(record))

    def of_log(record: Mapping[str, Any], source: Source) -> Iterator[Row]:
        return flatten(record, source, several)

    return generic.open_log(sources, options, head, format_=replace(FORMAT, flatten=of_log))


def _texts_of(record: Any) -> Iterator[Sequence[str]]:
    """The messages of a slice, where they are strings without ids beside them."""
    content = record.get("content") if isinstance(record, Mapping) and record.get("token_ids") is None else None
    for messages in content if isinstance(content, list) else ():
        if isinstance(messages, list) and messages and all(isinstance(text, str) for text in messages):
            yield messages


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    if any("mask" in row and row["mask"] and not any(row["mask"]) for row in rows):
        return replace(plan, notes=(*plan.notes, _UNTRAINED))
    return plan


FORMAT = Format("nemo-rl", _detect, flatten, plan=_plan, open=_open)
