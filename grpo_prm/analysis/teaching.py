"""The section `teaching` of summary.json: groups of equal rewards, apart, and what parts of the reward teach."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.groups import Groups
from ..core.teaching import all_of, phantom_sums
from ..errors import UsageError
from ..logs.rollouts import REWARD_PART
from .chunks import Parts, chunks
from .options import Options
from .running_sums import RunningSums


def phantom_columns(table: pl.DataFrame, groups: Groups, outcome: str | None) -> dict[str, Floats]:
    """Columns of the groups table: Σ |a| of groups of one outcome, and Σ |a|; the first is null where not known.

    Args:
        table: Canonical rollouts.
        groups: Their groups, in the order of the table.
        outcome: Name of the outcome part of the reward; None: not named.
    """
    column = f"{REWARD_PART}{outcome}"
    part = table[column].to_numpy() if outcome is not None and column in table.columns else None
    phantom, absolute = phantom_sums(groups, np.full(len(table), np.nan) if part is None else part)
    return {"phantom_advantage": phantom, "abs_advantage": absolute}


def check_outcome(options: Options, running: RunningSums) -> None:
    """Refuse an outcome part that the log has nowhere: it was misspelt, or the log has no parts.

    Raises:
        UsageError: No table of the log has it.
    """
    if options.outcome is None or options.outcome in running.parts:
        return
    parts = f"Its parts: {', '.join(sorted(running.parts))}." if running.parts else "It has no parts of the reward."
    raise UsageError(f"The log has no part {options.outcome} of the reward. {parts} Name one with --outcome.")


def teaching_section(groups: Parts | pl.DataFrame, rewards: set[float], notes: dict[str, str]) -> dict[str, Any]:
    """Groups of equal rewards: all right and all wrong in a log of two rewards, else equal.

    Args:
        groups: The groups table.
        rewards: The distinct rewards of the log, two or another number.
        notes: Gets the reason of what is null.
    """
    if len(rewards) != 2:
        notes["all_right"] = notes["all_wrong"] = "the log does not have exactly two rewards"
        equal = sum(int(chunk["zero_variance"].sum()) for chunk in chunks(groups, ["zero_variance"]))
        return {"all_right": None, "all_wrong": None, "equal": equal}
    counts = dict.fromkeys(("all_right", "all_wrong", "equal"), 0)
    for chunk in chunks(groups, ["zero_variance", "reward_mean", "k"]):
        zero, mean, k = (chunk[name].to_numpy() for name in chunk.columns)
        right, wrong = all_of(mean, k, min(rewards), max(rewards))
        for name, some in zip(counts, (right, wrong, zero & ~right & ~wrong), strict=True):
            counts[name] += int(some.sum())
    return counts
