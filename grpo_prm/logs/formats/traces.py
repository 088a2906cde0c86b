"""Traces of verifiers 0.4 and prime-rl 0.7 to 0.8: an episode a line, or in prime-rl 0.7 a trace a line.

An episode holds the traces of its agents, a trace the graph of its messages (`trace_nodes`), its rewards with their
weights and whether it went well. What was not trained on is no row: episodes that failed, agents that are frozen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import msgspec

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.raw_lists import EMPTY
from ..rows.values import Bad
from ..sources import Source
from .trace_nodes import Node, branches, columns

_CUT = ("max_turns", "max_input_tokens", "max_output_tokens", "max_total_tokens", "compaction_failed")


class Reward(msgspec.Struct):
    """A reward and its weight; a score of null is of a reward that was not computed."""

    score: float | None = None
    weight: float | None = 1.0


class Call(msgspec.Struct):
    """A call of the model."""

    finish_reason: str | None = None
    error: Any = None


class Named(msgspec.Struct):
    """An environment, a group or an agent."""

    id: str | None = None
    name: str | None = None
    trainable: bool | None = True


class Work(msgspec.Struct):
    """What the episode was for."""

    type: str | None = None
    step: int | None = None


class Run(msgspec.Struct):
    """The run that it belongs to."""

    step: int | None = None
    work: Work | None = None


class Task(msgspec.Struct):
    """The task; older versions write its data alone."""

    key: str | int | None = None
    hash: str | int | None = None
    data: msgspec.Raw = EMPTY


class Trace(msgspec.Struct):
    """One agent's part of an episode."""

    id: str | None = None
    agent: Named | None = None
    nodes: list[Node] | None = None
    calls: list[Call] | None = None
    rewards: dict[str, Reward | float | None] | None = None
    ok: bool | None = None
    is_truncated: bool | None = None
    stop_condition: str | None = None
    errors: list[Any] | None = None
    error: Any = None


class Record(Trace):
    """An episode, or a trace that stands by itself (with the group where prime-rl 0.7 or 0.8 puts it)."""

    env: Named | None = None
    env_name: str | None = None
    task: msgspec.Raw = EMPTY
    group: Named | None = None
    group_id: str | None = None
    info: dict[str, Any] | None = None
    run: Run | None = None
    eval_step: int | None = None
    traces: list[Trace] | None = None


def flatten(record: Record, _source: Source) -> Iterator[Row | Bad]:
    """A row for each trace that can be used; a `Bad` for each other trace, and for each side branch.

    Raises:
        Bad: The episode failed, or holds no trace.
    """
    _check(record, "trace" if record.traces is None else "episode")
    if not (traces := [record] if record.traces is None else record.traces):
        raise Bad("traces", "the episode holds no trace")
    shared = _of_episode(record)
    for trace in traces:
        try:
            yield from _rows(trace, shared)
        except Bad as bad:
            yield bad


def _check(part: Trace, name: str) -> None:
    """Refuse an episode or a trace that failed."""
    failed = part.ok is False or (part.ok is None and (part.errors or part.error))
    if failed:
        last = part.errors[-1] if part.errors else part.error
        why = last.get("type") if isinstance(last, dict) else last if isinstance(last, str) else None
        raise Bad("ok", f"the {name} failed" + (f" ({why[:60]})" if isinstance(why, str) else ""))


def _of_episode(record: Record) -> Row:
    """What all traces of an episode share."""
    info = record.info or {}
    drawn = (record.group.id if record.group else None) or record.group_id or info.get("group_id")
    task = msgspec.json.decode(record.task, type=Task) if bytes(record.task).startswith(b"{") else Task()
    key = task.key if task.key is not None else task.hash
    if key is None:
        key = blake2b(record.task if task.data is EMPTY else task.data, digest_size=6).hexdigest()
    row: Row = {"group": drawn or key, "problem": key}
    if drawn:
        row["group_id"] = drawn
    work = record.run.work if record.run else None
    step = work.step if work else record.run.step if record.run else record.eval_step
    env = record.env or Named()
    label = env.name or env.id or record.env_name or info.get("env_name")
    return row | ({} if step is None else {"step": step}) | ({"task": label} if label else {})


def _rows(trace: Trace, shared: Row) -> Iterator[Row | Bad]:
    """The row of a trace, and a `Bad` for each of its side branches."""
    _check(trace, "trace")
    if trace.agent and trace.agent.trainable is False:
        raise Bad("agent", f"{trace.agent.name or 'the agent'} is not trained")
    *side, main = branches(trace.nodes or []) or [[]]
    row = shared | columns(main) | _rewards(trace)
    if trace.id:
        row["sample"] = trace.id
    last = next((call for call in reversed(trace.calls or []) if not call.error), Call())
    cut = trace.stop_condition in _CUT or last.finish_reason == "length"
    row["truncated"] = cut if trace.is_truncated is None else trace.is_truncated
    yield row
    for _ in side:
        yield Bad("nodes", "a side branch of a rollout: of each rollout the branch to its last message is read")


def _rewards(trace: Trace) -> Row:
    """The sum of the weighted rewards, as verifiers makes it, and each before its weight."""
    rewards = {name: _pair(reward) for name, reward in (trace.rewards or {}).items()}
    row: Row = {"reward_parts": {name: score for name, (score, _) in rewards.items()}}
    scored = [score * weight for score, weight in rewards.values() if score is not None]
    return row | ({"reward": sum(scored)} if scored else {})  # one that was not computed adds nothing


def _pair(reward: Reward | float | None) -> tuple[float | None, float]:
    """Score and weight of a reward; older versions write the score alone."""
    if isinstance(reward, Reward):
        return reward.score, 1.0 if reward.weight is None else reward.weight
    return reward, 1.0


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A group that the trainer names is one draw; a task may be drawn again."""
    drawn = plan.paths.get("group") == "group" and all("group_id" in row for row in rows)
    chat = "messages" if "mask" in plan.paths else None
    return replace(plan, per_draw=plan.per_draw or drawn, chat=chat)


def _detect(head: Head) -> bool:
    return any(isinstance(row, dict) and (_is_trace(row) or _is_episode(row)) for row in head.rows)


def _is_episode(row: dict[str, Any]) -> bool:
    traces = row.get("traces")
    return isinstance(traces, list) and "task" in row and all(isinstance(t, dict) and "nodes" in t for t in traces)


def _is_trace(row: dict[str, Any]) -> bool:
    nodes = row.get("nodes")
    return isinstance(nodes, list) and bool(nodes) and isinstance(nodes[0], dict) and "message" in nodes[0]


FORMAT = Format("traces", _detect, flatten, columns={"group": "group", "problem": "problem"}, plan=_plan, record=Record)
