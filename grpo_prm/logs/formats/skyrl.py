"""SkyRL's `dumped_evals/global_step_{N}_evals/{data_source}.jsonl`: evaluation rollouts, groups by exact prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..format import Format, Head, Row
from ..rows.values import Bad, described
from ..sources import Source


def _detect(head: Head) -> bool:
    return head.has("input_prompt", "output_response", "score")


def flatten(record: Mapping[str, Any], _source: Source) -> Iterator[Row]:
    """The row of a rollout; a score of one number a token is summed.

    Args:
        record: A line.
    """
    yield {
        "prompt": record["input_prompt"],
        "completion": record["output_response"],
        "reward": _total(record["score"]),
        "truncated": record.get("stop_reason"),
        "task": record.get("data_source") or record.get("env_class"),
    }


def _total(score: Any) -> Any:
    if not isinstance(score, list):
        return score
    try:
        return float(sum(score))
    except TypeError:
        odd = next(value for value in score if not isinstance(value, int | float))
        raise Bad("reward", f"expected one number a token, got {described(odd)}") from None


FORMAT = Format("skyrl", _detect, flatten)
