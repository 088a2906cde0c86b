"""inspect_ai's logs, JSON or `.eval`: a sample with its epochs is a group, scores are letters or numbers.

A JSON log is one object with all samples; of an `.eval` each record is a sample with the settings of its log.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rollouts import REWARD_PART
from ..rows.values import Bad, described
from ..sources import Source
from .own_run import own_runs, run_of

# As inspect_ai's own `value_to_float` reads them: correct, partial, incorrect, no answer.
_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_SAID = "Scores that are letters are read as C = 1, P = 0.5, I = 0 and N = 0."
_CUT = ("max_tokens", "model_length")
_ATTACHED = "attachment://"


def _detect(head: Head) -> bool:
    return any(_samples(record) or _is_log(record) for record in head.rows)


def _is_log(record: Any) -> bool:
    """Is it a whole log? One that failed, or whose header alone was kept, holds no samples."""
    return isinstance(record, Mapping) and {"eval", "plan", "status"} <= record.keys()


def _samples(record: Any) -> Sequence[Any]:
    """The samples of a record: those of a log, or the one that it is."""
    if not isinstance(record, Mapping):
        return ()
    if isinstance(samples := record.get("samples"), list) and isinstance(record.get("eval"), Mapping):
        return samples
    named = {"id", "epoch", "input", "output"} <= record.keys()
    return (record,) if named and isinstance(record["output"], Mapping | None) else ()


def flatten(record: Mapping[str, Any], source: Source) -> Iterator[Row | Bad]:
    """The rows of a log or of a sample; a sample that failed is a `Bad`.

    Args:
        record: `{"eval", "samples"}`, or one sample `{"id", "epoch", "input", "messages", "output", "scores"}`.
        source: Its file.
    """
    settings = record.get("eval")
    settings = settings if isinstance(settings, Mapping) else {}
    of_log = {**run_of(source), **({"task": settings["task"]} if "task" in settings else {})}
    if _is_log(record) and not _samples(record):
        raise Bad("samples", f"the log holds none (status {record['status']})")
    for sample in _samples(record):
        try:
            yield {**of_log, **_row(sample)}
        except Bad as bad:
            yield bad
        except (LookupError, TypeError, AttributeError) as error:
            yield Bad("", f"not a sample of inspect_ai ({type(error).__name__}: {error})"[:120])


def _row(sample: Mapping[str, Any]) -> Row:
    if error := sample.get("error"):
        what = error.get("message", "") if isinstance(error, Mapping) else error
        raise Bad("", f"the sample ended in an error ({what})"[:120])
    prompt, completion = _cut_chat(sample)
    choices = (sample.get("output") or {}).get("choices") or [{}]
    return {
        "group": sample["id"],
        "task_id": sample["id"],
        "sample": sample["epoch"],
        "prompt": prompt,
        "completion": completion,
        "truncated": bool(sample.get("limit")) or choices[0].get("stop_reason") in _CUT,
        **_rewards(sample),
    }


def _cut_chat(sample: Mapping[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    """What stood before the first message that the model wrote, and all from there on."""
    given, attached = sample["input"], sample.get("attachments") or {}
    examples = [m.get("content") for m in given if m.get("role") == "assistant"] if isinstance(given, list) else []
    messages = [_message(m, examples, attached) for m in sample.get("messages") or ()]
    opens = next((n for n, m in enumerate(messages) if m["role"] == "assistant" and m.get("trainable", True)), None)
    if opens is not None:
        return messages[:opens] or given, messages[opens:]
    choices = (sample.get("output") or {}).get("choices")
    if not choices:
        raise Bad("completion", "the sample has no output")
    return messages or given, [_message(choices[0]["message"], (), attached)]


def _message(message: Mapping[str, Any], examples: Sequence[Any], attached: Mapping[str, str]) -> dict[str, Any]:
    """A message with its reasoning apart; an example of the input is out of the loss."""
    content, made = message.get("content"), {"role": message["role"]}
    if isinstance(content, list):
        thoughts = [part.get("reasoning") or "" for part in content if part.get("type") == "reasoning"]
        made |= {"reasoning_content": "".join(thoughts)} if any(thoughts) else {}
        content = [_with_text(part, attached) for part in content if part.get("type") != "reasoning"]
    elif isinstance(content, str) and content.startswith(_ATTACHED):
        content = attached.get(content.removeprefix(_ATTACHED), content)
    made |= {"content": content} | ({"tool_calls": calls} if (calls := message.get("tool_calls")) else {})
    source = message.get("source")
    if made["role"] == "assistant" and (source == "input" or (source is None and message.get("content") in examples)):
        made["trainable"] = False
    return made


def _with_text(part: Mapping[str, Any], attached: Mapping[str, str]) -> Mapping[str, Any]:
    text = part.get("text")
    if isinstance(text, str) and text.startswith(_ATTACHED):
        return {**part, "text": attached.get(text.removeprefix(_ATTACHED), text)}
    return part


def _rewards(sample: Mapping[str, Any]) -> Row:
    """The value of the one score as the reward; of several each as a part, and no reward."""
    scores = sample.get("scores") or ({"score": sample["score"]} if sample.get("score") else {})
    values: dict[str, Any] = {}
    for name, score in scores.items():
        value = score.get("value") if isinstance(score, Mapping) else score
        if isinstance(value, Mapping):
            values |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            values[name] = value
    if not values:
        raise Bad("reward", "the sample has no score")
    if len(values) == 1:
        return {"reward": _number(next(iter(values.values())))}
    return {REWARD_PART + name: _number(value) for name, value in values.items()}


def _number(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return _VALUES[value] if value in _VALUES else float(value)
    except ValueError:
        raise Bad("reward", f"expected C, P, I, N or a number, got {described(value)}") from None


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    return replace(own_runs(plan, rows), notes=(*plan.notes, _SAID))


FORMAT = Format("inspect_ai", _detect, flatten, plan=_plan)
