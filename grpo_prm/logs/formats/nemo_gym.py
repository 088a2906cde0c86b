"""NeMo-Gym's `*_rollouts.jsonl`: items of the Responses API, groups by `_ng_task_index`.

What the policy wrote are reasoning, messages and function calls; outputs of functions are not. Where items carry the
ids of their model calls these are the units: a call's prompt is all ids before, and then what was put in between.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from typing import Any

from ..format import Format, Head, Row
from ..rows.values import Bad, described
from ..sources import Source

_ORDER = {"reasoning": 0, "message": 1}  # in one turn of a chat, before its calls
_CALL = 2


def _detect(head: Head) -> bool:
    objects = [row["response"] for row in head.rows if isinstance(row, Mapping) and "response" in row]
    named = head.has("responses_create_params", "response", "reward")
    return named and any(isinstance(one, Mapping) and "output" in one for one in objects)


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The row of a rollout.

    Args:
        record: A line.
    """
    response = record["response"]
    given, items = record["responses_create_params"]["input"], response["output"]
    row: Row = {"prompt": given if isinstance(given, str) else list(_chat(given)), "completion": list(_chat(items))}
    row["reward"] = record["reward"]
    row["truncated"] = (response.get("incomplete_details") or {}).get("reason") == "max_output_tokens"
    for ours, name in (("group", "_ng_task_index"), ("problem", "_ng_task_index"), ("sample", "_ng_rollout_index")):
        if record.get(name) is not None:
            row[ours] = record[name]
    if isinstance(agent := record.get("agent_ref"), Mapping):
        row["task"] = agent.get("name")
    yield {**row, **_ids(items)}


def _chat(items: Any) -> Iterator[dict[str, Any]]:
    """Items as messages: reasoning, text and calls of one turn are one message of the assistant."""
    if not isinstance(items, list):
        raise Bad("completion", f"expected a list of items, got {described(items)}")
    turn: dict[str, Any] | None = None
    last = -1
    for item in items:
        place = _place(item)
        if turn and (place < last or place < 0 or place == last == 1):
            yield turn
            turn = None
        if place < 0:
            yield _other(item)
            continue
        turn, last = turn or _assistant(), place
        if place == _CALL:
            call = {"name": item.get("name") or item["type"], "arguments": item.get("arguments", item.get("input"))}
            turn["tool_calls"] = [*turn.get("tool_calls", ()), call]
        else:
            name = ("reasoning_content", "content")[place]
            turn[name] = turn.get(name, "") + _text(item.get("content") or item.get("summary"))
    if turn:
        yield turn


def _place(item: Mapping[str, Any]) -> int:
    """Place of an item in a turn of the policy, -1 if the policy did not write it."""
    kind = item.get("type") or "message"
    if item.get("role", "assistant") != "assistant":
        return -1
    return _CALL if kind.endswith("_call") else _ORDER.get(kind, -1)


def _assistant() -> dict[str, Any]:
    return {"role": "assistant"}


def _other(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item that the policy did not write."""
    if "role" in item:
        content = item.get("content")
        return {"role": item["role"], "content": content if _has_parts(content) else _text(content)}
    output = item.get("output")
    return {"role": "tool", "content": output if isinstance(output, str) else _text(output)}


def _has_parts(content: Any) -> bool:
    """Are there parts that are no text, images say, which tell prompts apart?"""
    return isinstance(content, list) and any(isinstance(part, Mapping) and not part.get("text") for part in content)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "".join(map(_text, content))
    if isinstance(content, Mapping):
        return _text(content.get("text") or content.get("refusal"))
    return content if isinstance(content, str) else ""


def _ids(items: Sequence[Mapping[str, Any]]) -> Row:
    """Ids of all model calls end to end, what stands between two of them out of the loss; nothing if one has none."""
    turns = [list(turn) for written, turn in groupby(items, lambda item: _place(item) >= 0) if written]
    every = [[item for item in turn if item.get("generation_token_ids")] for turn in turns]
    if not every or not all(every):
        return {}
    calls = list(chain.from_iterable(every))
    first = calls[0].get("prompt_token_ids") or []
    seen, mask, probs = list(first), [], []
    for call in calls:
        before, said = call.get("prompt_token_ids") or [], call["generation_token_ids"]
        if before[: len(seen)] != seen:
            raise Bad("tokens", "the prompt of a model call does not begin with the ids before it")
        between = before[len(seen) :]
        seen += between + said
        mask += [False] * len(between) + [True] * len(said)
        probs += [0.0] * len(between) + list(call.get("generation_log_probs") or ())
    row: Row = {"prompt": first, "tokens": seen[len(first) :], "mask": mask}
    return {**row, "logprobs": probs} if len(probs) == len(mask) else row


FORMAT = Format("nemo-gym", _detect, flatten, columns={"problem": "problem"})
