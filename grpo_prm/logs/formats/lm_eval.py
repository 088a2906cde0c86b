"""lm-evaluation-harness' `samples_*.jsonl`: a row is a document with the texts of its repeats, and a score for each.

A row is written once for each filter: the same texts with other scores. One filter is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..columns.plan import Plan
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..rollouts import REWARD_PART
from ..rows.values import Bad
from ..sources import Source
from .generic import open_log

_SAID = (
    "Scores are those of the first filter of each file; rows of another filter hold the same texts and are left out."
)
# What rows of versions hold that do not name their metrics.
_NO_METRICS = {
    *("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter"),
    *("doc_hash", "prompt_hash", "target_hash", "model", "task", "metrics"),
}
_NAME = re.compile(r"samples_(.+)_\d{4}-\d\d-\d\dT")


def _detect(head: Head) -> bool:
    return head.has("doc_id", "resps", "filtered_resps")


def _open(sources: Sequence[Source], options: ReadOptions, head: Head) -> Log:
    """Settle on one filter a file."""
    chosen: dict[str, Any] = {}  # file to the filter of its first row
    read = replace(FORMAT, open=None, flatten=lambda record, source: flatten(record, source, chosen))
    return open_log(sources, options, head, format_=read)


def flatten(record: Mapping[str, Any], source: Source, chosen: dict[str, Any]) -> Iterator[Row]:
    """The repeats of a document.

    Args:
        record: `{"doc_id", "resps": [[k texts]], "metrics": [names], NAME: [k numbers]}`.
        source: Its file, whose name tells the task.
        chosen: File to the filter whose rows are read, that of the first row; rows of others have no completions.
    """
    if record.get("filter") != chosen.setdefault(source.name, record.get("filter")):
        return
    texts = _texts(record["resps"])
    scores = _scores(record, len(texts))
    named = _NAME.match(source.path.name)
    of_document = {
        "group": f"{named[1]}/{record['doc_id']}" if named else record["doc_id"],
        **({"task": named[1]} if named else {}),
        "prompt": _prompt(record.get("arguments")),
    }
    for repeat, text in enumerate(texts):
        yield {
            **of_document,
            "sample": repeat,
            "completion": text,
            **{c: values[repeat] for c, values in scores.items()},
        }


def _texts(resps: Any) -> list[str]:
    """The texts: one request, answered k times."""
    if len(resps) == 1 and isinstance(resps[0], list) and all(isinstance(text, str) for text in resps[0]):
        return resps[0]
    raise Bad("completion", "log-likelihoods of given answers, not texts that a model wrote")


def _scores(record: Mapping[str, Any], k: int) -> dict[str, list[Any]]:
    """A number for each text: of the one metric as the reward, of several as parts."""
    found = {}
    for name in record["metrics"] if isinstance(record.get("metrics"), list) else sorted(record.keys() - _NO_METRICS):
        value = record.get(name)
        values = value if isinstance(value, list) else [value]
        if len(values) == k and all(isinstance(v, bool | int | float) for v in values):
            found[name] = values
        elif k > 1 and isinstance(value, bool | int | float):
            raise Bad("reward", f"{name} is one number for {k} texts, so none has a reward of its own")
    if not found:
        raise Bad("reward", "no metric has a number for each text")
    return {"reward": next(iter(found.values()))} if len(found) == 1 else {REWARD_PART + n: v for n, v in found.items()}


def _prompt(arguments: Any) -> Any:
    """The text that the model was given, as old and new versions write it; None for others."""
    if isinstance(arguments, Mapping):
        arguments = [list(inner.values()) for inner in arguments.values() if isinstance(inner, Mapping)]
    first = arguments[0] if isinstance(arguments, list) and arguments else None
    return first[0] if isinstance(first, list) and first and isinstance(first[0], str) else None


def _plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
    return replace(plan, notes=(*plan.notes, _SAID))


FORMAT = Format("lm_eval", _detect, lambda record, source: flatten(record, source, {}), plan=_plan, open=_open)
