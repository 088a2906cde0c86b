"""Writes verifiers_traces.jsonl beside it, with verifiers 0.4.0 itself: `python write_verifiers_traces.py`.

Five episodes of one group and one of another, invented: a tool call and a second turn, a history that was rewritten, a
frozen judge beside the agent, an episode that failed, a trace that failed, and one without ids as a chat API gives it.
"""

from pathlib import Path

from verifiers.v1.configs.agent import WireAgentConfig
from verifiers.v1.episode import EnvInfo, Episode, GroupInfo, PolicySpan, TrainRunInfo, TrainWorkInfo
from verifiers.v1.graph import MessageNode
from verifiers.v1.task import WireTaskData
from verifiers.v1.trace import AgentInfo, Error, ModelCall, Trace, TraceTask
from verifiers.v1.types import AssistantMessage, ToolCall, ToolMessage, UserMessage
from verifiers.v1.utils.trace_store import write_episode

FOLDER = Path(__file__).parent
TASK = TraceTask(type="Sum", data=WireTaskData(idx=0, prompt="2 + 3 ?"), key="sum-0", hash="h0")


def node(parent, message, prefix, sampled=(), advantage=None, ids=True):
    """A message with the ids `prefix` that were not sampled, and then those that were."""
    said = [*prefix, *sampled] if ids else []
    return MessageNode(
        parent=parent,
        message=message,
        sampled=bool(sampled),
        timestamp=0.0,
        token_ids=said,
        mask=[False] * len(prefix) + [True] * len(sampled) if ids else [],
        logprobs=[-token / 7 for token in sampled] if ids else [],
        advantages=[advantage] * len(sampled) if sampled and advantage is not None else None,
    )


def conversation(answer, advantage, ids=True):
    """Question, tool call, tool answer, and the last word: ids 90 and up are never sampled."""
    call = ToolCall(id="c", name="add", arguments='{"a": 2, "b": 3}')
    return [
        node(None, UserMessage(content="2 + 3 ?"), [90, 91, 92], ids=ids),
        node(0, AssistantMessage(content="I ask.", tool_calls=[call]), [93], [10, 11, 12], advantage, ids),
        node(1, ToolMessage(tool_call_id="c", content="5"), [94, 95], ids=ids),
        node(2, AssistantMessage(content=f"It is {answer}."), [93], [20, answer, 13], advantage, ids),
    ]


def trace(nodes, rewards, **more):
    made = Trace(task=TASK, agent=AgentInfo(config=WireAgentConfig(), **more.pop("agent", {})), nodes=nodes, ok=True)
    made.is_completed, made.stop_condition = True, more.pop("stop", "agent_completed")
    for name, (score, weight) in rewards.items():
        made.record_reward(name, score, weight)
    made.ok = more.pop("ok", True)
    ends = ("tool_calls", more.pop("end", "stop"))
    made.calls = [ModelCall(node=node, finish_reason=end) for node, end in zip((1, 3), ends, strict=True)]
    return made


def episode(traces, group="g1", ok=True, step=7, errors=()):
    work = TrainWorkInfo(step=step, policy=PolicySpan(start=step - 1, end=step))
    return Episode(
        env=EnvInfo(id="sums"),
        task=TASK,
        group=GroupInfo(id=group) if group else None,
        run=TrainRunInfo(id="run", work=work) if group else None,
        ok=ok,
        errors=list(errors),
        traces=traces,
    )


def main():
    (FOLDER / "traces.jsonl").unlink(missing_ok=True)
    right, wrong = {"correct": (1.0, 1.0), "short": (0.5, 0.5)}, {"correct": (0.0, 1.0), "short": (0.25, 0.5)}
    rewritten = conversation(6, -0.5625)
    rewritten += [  # after the first turn the history was made shorter: another first message, another leaf
        node(None, UserMessage(content="So far: 5."), [90, 96]),
        node(4, AssistantMessage(content="It is 6."), [93], [20, 6, 13], -0.5625),
    ]
    judge = trace(conversation(5, None), {}, agent={"name": "judge", "trainable": False})
    failed = trace(conversation(5, None), right, ok=False)
    for made in (
        episode([trace(conversation(5, 0.5625), right)]),
        episode([trace(rewritten, wrong), judge]),
        episode([trace(conversation(7, -0.5625), wrong, end="length")]),
        episode([], ok=False, errors=[Error(type="Timeout", message="late")]),
        episode([failed]),
        episode([trace(conversation(5, None, ids=False), right)], group=None),
    ):
        write_episode(FOLDER, made)
    (FOLDER / "traces.jsonl").rename(FOLDER / "verifiers_traces.jsonl")


if __name__ == "__main__":
    main()
