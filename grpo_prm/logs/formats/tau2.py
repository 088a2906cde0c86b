"""tau2-bench's `simulations`, and the trajectories of tau-bench before it: the trials of a task are a group.

The conversation is the completion. Users and tools speak between the turns of the agent, and are out of the loss: a
simulated user says something else in each trial. The system message is the prompt; in tau2 there is none, and the agent
opens with a greeting that is in the loss like its other turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..format import Format, Head, Row
from ..rows.values import Bad
from ..sources import Source
from .own_run import own_runs, run_of

_CUT = ("max_steps", "max_errors", "too_many_errors", "timeout")


def _detect(head: Head) -> bool:
    return any(_simulations(record) for record in head.rows)


def _simulations(record: Any) -> Sequence[Any]:
    """The simulations of a record: those of a file, or the one that it is."""
    if not isinstance(record, Mapping):
        return ()
    inner = record.get("simulations")
    if isinstance(inner, list) and any(isinstance(one, Mapping) and "messages" in one for one in inner):
        return inner
    one = {"task_id", "reward_info", "messages"} <= record.keys() and "reward" not in record
    return (record,) if one or _is_old(record) else ()


def _is_old(record: Mapping[str, Any]) -> bool:
    return {"task_id", "reward", "traj", "trial"} <= record.keys()


def flatten(record: Mapping[str, Any], source: Source) -> Iterator[Row | Bad]:
    """The rows of a file or of a trial; a trial without messages or reward is a `Bad`.

    Args:
        record: `{"tasks", "simulations": [{"task_id", "trial", "reward_info", "messages"}]}`, one of its simulations,
            or `{"task_id", "trial", "reward", "traj"}` of tau-bench.
        source: Its file.
    """
    of_file = run_of(source) if "simulations" in record else {}  # a folder may hold one file a trial
    for one in _simulations(record):
        try:
            yield {**of_file, **_row(one)}
        except Bad as bad:
            yield bad
        except (LookupError, TypeError, AttributeError) as error:
            yield Bad("", f"not a simulation of tau2 ({type(error).__name__}: {error})"[:120])


def _row(one: Mapping[str, Any]) -> Row:
    old = _is_old(one)
    messages = list(_messages(one["traj"] if old else one["messages"]))
    opens = next((n for n, message in enumerate(messages) if message["role"] != "system"), 0)
    if not any(message["role"] == "assistant" for message in messages):
        raise Bad("completion", "no message of the agent")
    reward = one["reward"] if old else (one.get("reward_info") or {}).get("reward")
    if reward is None:
        raise Bad("reward", f"null (the simulation ended by {one.get('termination_reason')})")
    return {
        "group": one["task_id"],
        "task_id": one["task_id"],
        **({"sample": one["trial"]} if one.get("trial") is not None else {}),
        "prompt": messages[:opens],
        "completion": messages[opens:],
        "reward": reward,
        "truncated": one.get("termination_reason") in _CUT,
    }


def _messages(messages: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The messages, answers of several tools one by one."""
    for message in messages:
        if isinstance(inner := message.get("tool_messages"), list):
            yield from inner
        else:
            yield message


FORMAT = Format("tau2", _detect, flatten, plan=own_runs)
