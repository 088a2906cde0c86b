"""tinker-cookbook's `train_rollout_summaries.jsonl`: lengths and rewards of rollouts, without what was said."""

from __future__ import annotations

from collections.abc import Sequence

from ...errors import InputError
from ..columns.plan import NAMES
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..sources import Source


def _detect(head: Head) -> bool:
    said = any(map(head.has, (*NAMES["completion"], *NAMES["tokens"])))
    return head.has("group_idx", "traj_idx", "total_reward", "steps") and not said


def _open(_sources: Sequence[Source], _options: ReadOptions, head: Head) -> Log:
    """Refuse them: prefixes need the text or the ids.

    Raises:
        InputError: Always.
    """
    raise InputError(
        f"{head.name}: tinker-cookbook's rollout summaries hold lengths and rewards (ob_len, ac_len, total_reward) but"
        " neither text nor token ids, so no prefixes can be compared. Log the ids: write one JSON object a trajectory"
        " with step, group, tokens, logprobs and reward from the trajectory groups of your training loop."
    )


FORMAT = Format("tinker", _detect, open=_open)
