"""prime-rl's token export: exact ids with log-probabilities of sampler and trainer, but neither group nor reward.

The ids before the first one in the loss are the prompt, and tell the groups of a step apart; the advantage is constant
over the tokens in the loss where it is GRPO's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import msgspec
import numpy as np

from ..columns.plan import Plan
from ..format import Format, Head, Row
from ..rows.raw_lists import EMPTY, flags, floats, integers, joined
from ..rows.values import Bad
from ..sources import Source

_NOTE = "The token export names no group: rollouts of one step that read the same prompt ids are one group."


class Record(msgspec.Struct):
    """One sequence of a micro batch; its lists have one value for each id."""

    step: int | None = None
    env_name: str | None = None
    token_ids: msgspec.Raw = EMPTY
    loss_mask: msgspec.Raw = EMPTY
    advantages: msgspec.Raw = EMPTY
    inference_logprobs: msgspec.Raw = EMPTY
    trainer_logprobs: msgspec.Raw = EMPTY


def flatten(record: Record, _source: Source) -> Iterator[Row]:
    """The completion behind the prompt, grouped by the ids of the prompt.

    Raises:
        Bad: Nothing is in the loss, or ids and mask do not fit.
    """
    ids = integers(joined([record.token_ids], "tokens"), "tokens")
    mask = flags(joined([record.loss_mask], "mask"), "mask")
    if len(ids) != len(mask):
        raise Bad("mask", f"{len(mask)} values for {len(ids)} tokens")
    if not mask.any():
        raise Bad("mask", "no token is in the loss")
    opens = int(mask.argmax())
    row: Row = {"group": blake2b(ids[:opens].tobytes(), digest_size=6).hexdigest()}
    row |= {"tokens": ids[opens:], "mask": mask[opens:]}
    row |= {name: value for name, value in (("step", record.step), ("task", record.env_name)) if value is not None}
    for name, raw in (("logprobs", record.inference_logprobs), ("trainer_logprobs", record.trainer_logprobs)):
        if items := joined([raw], name):
            row[name] = _beside(floats(items, name), mask)[opens:]
    if len(values := floats(joined([record.advantages], "advantage"), "advantage")) == len(ids):
        row["advantage"] = _advantage(values[mask])
    yield row


def _beside(values: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """One value for each id, or none at all."""
    return values if len(values) == len(mask) else np.zeros(0)


def _advantage(values: np.ndarray) -> Any:
    """The one advantage of all tokens in the loss, else the list of them."""
    return float(values[0]) if (values == values[0]).all() else values.tolist()


def _plan(plan: Plan, _rows: Sequence[Row]) -> Plan:
    return replace(plan, notes=(*plan.notes, _NOTE))


def _detect(head: Head) -> bool:
    return head.has("token_ids", "loss_mask", "micro_sequence_idx")


FORMAT = Format("prime-rl-tokens", _detect, flatten, columns={"group": "group"}, plan=_plan, record=Record)
