"""A sentence for a run whose groups have taught it nothing for several steps: their rewards are all equal."""

from __future__ import annotations

from typing import Any

from ..text.amounts import percent

STEPS = 5  # in a row
MOST = 0.5  # of the groups of a step


def equal_rewards(share: float | None, state: dict[str, Any]) -> str | None:
    """The sentence when it is due: once, after `STEPS` steps in a row in which most groups had equal rewards.

    Args:
        share: Groups of this step whose rewards are all equal, a share of 1 (`zero_variance` of the statistics).
        state: Of the run; `equal`, such steps in a row so far, is brought up to date.
    """
    state["equal"] = state.get("equal", 0) + 1 if share is not None and share > MOST else 0
    if state["equal"] != STEPS:
        return None
    return (
        f"{percent(share)} % of the groups of this step have equal rewards, and more than half had them in each of the "
        f"last {STEPS} steps: they change nothing. Give prompts that the model sometimes gets right, a larger "
        "--group-size, or a higher --temperature."
    )
