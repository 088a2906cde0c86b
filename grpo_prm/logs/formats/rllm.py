"""rLLM: an episode a JSON file, as its trainer (episodes/MODE_step_N_epoch_E) and its evaluation write it.

An episode holds the trajectories of its agents, a trajectory its steps, each with the whole chat up to its answer. The
turns are put together: the answer of every step, and between them what the next chat says more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source

_CUT = ("max_prompt_length_exceeded", "max_response_length_exceeded", "max_turns_exceeded")


def flatten(record: dict[str, Any], _source: Source) -> Iterator[Row | Bad]:
    """A row for each trajectory.

    Raises:
        Bad: The episode failed, or has no trajectory.
    """
    reason = record.get("termination_reason")
    if reason == "error":
        raise Bad("termination_reason", "the episode failed")
    if not (trajectories := record["trajectories"]):
        raise Bad("trajectories", "the episode holds no trajectory")
    task, _, rollout = str(record.get("episode_id", record.get("id"))).rpartition(":")
    for number, trajectory in enumerate(trajectories):
        names = (task or rollout, trajectory["name"]) if len(trajectories) > 1 else (task or rollout,)
        row: Row = {"group": ":".join(names), "sample": f"{rollout}:{number}", "truncated": reason in _CUT}
        row |= {"problem": record.get("task_hash", task or rollout)}
        row |= {"step": record["training_step"]} if "training_step" in record else {}
        try:
            yield row | {"reward": trajectory["reward"], **_turns(trajectory["steps"])}
        except Bad as bad:
            yield bad


def _turns(steps: list[dict[str, Any]]) -> Row:
    """Prompt and completion, with the ids where every chat goes on from the ids before it; the advantage if one.

    Raises:
        Bad: There is no step, or a chat does not go on from the one before it.
    """
    if not steps:
        raise Bad("steps", "the trajectory holds no step")
    chats = [_chat(step) for step in steps]
    said = [{**chats[0][-1], "trainable": True}]
    for before, chat in pairwise(chats):
        if len(chat) <= len(before) or [_kept(m) for m in chat[: len(before)]] != [_kept(m) for m in before]:
            raise Bad("steps", "a chat that does not go on from the one before it: the turns are no one completion")
        said += [{**message, "trainable": False} for message in chat[len(before) : -1]]
        said.append({**chat[-1], "trainable": True})
    row: Row = {"prompt": chats[0][:-1], "completion": said} | _ids(steps)
    given = [step.get("advantage") for step in steps]
    values = [v for one in given for v in (one if isinstance(one, list) else [one])]
    if values and values[0] is not None:
        row["advantage"] = values[0] if values.count(values[0]) == len(values) else values
    return row


def _chat(step: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages of a step up to its answer, which may stand beside them."""
    chat = [
        {**m, "reasoning_content": m.get("reasoning_content", m.get("reasoning"))} for m in step["chat_completions"]
    ]
    if chat and chat[-1]["role"] == "assistant":
        return chat
    if not chat or not step.get("model_response"):
        raise Bad("steps", "a step without its chat or its answer")
    return [*chat, {"role": "assistant", "content": step["model_response"]}]


def _kept(message: dict[str, Any]) -> Any:
    """What a later chat must say again: all but the model's words, from which templates cut the thoughts."""
    return message["role"], None if message["role"] == "assistant" else message.get("content")


def _ids(steps: list[dict[str, Any]]) -> Row:
    """Ids, mask and log-probabilities of all turns, where they are logged and each prompt holds what came before."""
    tokens: list[int] = []
    mask: list[bool] = []
    logprobs: list[float] = []
    whole: list[int] = []
    for step in steps:
        prompt, response, values = (step.get(n) or [] for n in ("prompt_ids", "response_ids", "logprobs"))
        if not response or prompt[: len(whole)] != whole or (values and len(values) != len(response)):
            return {}
        between = prompt[len(whole) :] if whole else []
        tokens += between + response
        mask += [False] * len(between) + [True] * len(response)
        logprobs += [0.0] * len(between) + (values or [0.0] * len(response))
        whole = prompt + response
    row: Row = {"tokens": tokens, "mask": mask}
    return row | ({"logprobs": logprobs} if all(step.get("logprobs") for step in steps) else {})


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """The trainer names every draw of a task anew; an evaluation names the task."""
    drawn = plan.paths.get("group") == "group" and any("step" in row for row in rows)
    return replace(plan, per_draw=True) if drawn else plan


def _detect(head: Head) -> bool:
    rows = [row for row in head.rows if isinstance(row, dict) and isinstance(row.get("trajectories"), list)]
    inner = [trajectory for row in rows for trajectory in row["trajectories"] if isinstance(trajectory, dict)]
    if any(not row["trajectories"] and {"termination_reason", "is_correct"} <= row.keys() for row in rows):
        return True  # an episode that failed
    return any("steps" in trajectory and "reward" in trajectory for trajectory in inner)


FORMAT = Format("rllm", _detect, flatten, columns={"group": "group", "problem": "problem"}, plan=_plan)
