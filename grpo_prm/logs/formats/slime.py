"""slime's debug rollout data: sample dicts, a file `{rollout_id}.pt` of them or one a line.

`tokens` are prompt and response, of which the last `response_length` are the response; the loss mask and the
log-probabilities of the sampler are of the response alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rollouts import REWARD_PART
from ..rows.values import Bad, described
from ..sources import Source

_TOTAL = "score"  # what slime's own verifiers call the total in a dict of rewards
_CHOSEN = f"Rewards are dicts: the reward is their {_TOTAL}, the other numbers are its parts (slime: --reward-key)."
_REMOVED = "Some completions are out of the loss (remove_sample, or a loss mask of zeros): they stay in their groups."


def _detect(head: Head) -> bool:
    """Samples with their place in the batch: tokens beside a length alone may be of any log."""
    samples = [s for record in head.rows for s in _samples(record)[1] if isinstance(s, Mapping)]
    return any(s.keys() >= {"tokens", "response_length", "reward", "group_index", "status"} for s in samples)


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row | Bad]:
    """The rows of a file, or the one of a line; a sample that is none is a `Bad`.

    Args:
        record: `{"rollout_id", "samples"}`, or one sample.
    """
    step, samples = _samples(record)
    for sample in samples:
        try:
            yield {**({} if step is None else {"step": step}), **_row(sample)}
        except Bad as bad:  # of many in a file
            yield bad


def _samples(record: Any) -> tuple[int | None, list[Any]]:
    """Step and samples of a record."""
    if not isinstance(record, Mapping):
        return None, []
    if not isinstance(record.get("samples"), list):
        return None, [record]
    return record.get("rollout_id"), record["samples"]


def _row(sample: Any) -> Row:
    if not isinstance(sample, Mapping):
        raise Bad("", f"expected a sample, got {described(sample)}")
    tokens, length = _list(sample.get("tokens")), sample.get("response_length")
    if not isinstance(tokens, list) or not isinstance(length, int) or not 0 <= length <= len(tokens):
        count = len(tokens) if isinstance(tokens, list) else 0
        raise Bad("tokens", f"response_length is {described(length)} beside {count} tokens")
    opens = len(tokens) - length
    index = sample.get("index")
    row: Row = {
        **({"step": sample["step"]} if "step" in sample else {}),  # of a line that somebody made of a sample
        "group": sample.get("group_index"),
        "sample": index,
        "prompt": sample.get("prompt") or tokens[:opens],
        "completion": sample.get("response"),
        "tokens": tokens[opens:],
        "truncated": sample.get("status") == "truncated",
        **_reward(sample.get("reward")),
    }
    if sample.get("rollout_id") is not None:  # of several samples, where the context of a rollout was compacted
        row |= {"rollout": sample["rollout_id"], "turn": index}
    if sample.get("remove_sample"):
        row["mask"] = [False] * length
    elif sample.get("loss_mask") is not None:
        row["mask"] = _list(sample["loss_mask"])
    if sample.get("rollout_log_probs") is not None:
        row["logprobs"] = _list(sample["rollout_log_probs"])
    return row if row["group"] is not None else {c: v for c, v in row.items() if c != "group"}


def _reward(reward: Any) -> Row:
    """The reward; of a dict its score, and its numbers as parts."""
    if not isinstance(reward, Mapping):
        return {"reward": reward}
    parts = {name: value for name, value in reward.items() if isinstance(value, bool | int | float)}
    row: Row = {REWARD_PART + name: value for name, value in parts.items() if name != _TOTAL}
    return {**row, "reward": reward[_TOTAL]} if _TOTAL in parts else row


def _list(values: Any) -> Any:
    return values.tolist() if isinstance(values, np.ndarray) else values


def _plan(plan: Plan, rows: Sequence[Row]) -> Plan:
    """A `group_index` is of one draw."""
    notes = []
    if any(name.startswith(REWARD_PART) for row in rows if "reward" in row for name in row):
        notes.append(_CHOSEN)
    if any("mask" in row and row["mask"] and not any(row["mask"]) for row in rows):
        notes.append(_REMOVED)
    by = {"by": ("key",), "per_draw": True} if "group" in plan.paths else {}
    return replace(plan, **by, notes=(*plan.notes, *notes))


FORMAT = Format("slime", _detect, flatten, plan=_plan)
