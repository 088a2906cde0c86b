"""What changes the numbers of an analysis, and what is kept beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.prm import Std


@dataclass(frozen=True, slots=True)
class Options:
    """What changes the numbers of an analysis.

    Examples:
        Dr. GRPO does not divide by the standard deviation:

        >>> import grpo_prm
        >>> answers = [("it is 2", 1.0), ("it is 3", 0.0)]
        >>> rows = [{"prompt": "1 + 1 =", "completion": text, "reward": reward} for text, reward in answers]
        >>> analysis = grpo_prm.analyze(rows, grpo_prm.Options(std="none"))
        >>> analysis.completions.collect()["advantage"].to_list()
        [0.5, -0.5]

    Attributes:
        std: Divisor of the group advantage (`prm.group_advantages`). None: that of `Groups`; for other logs the one
            that gives the logged advantages, and `sample` where none does.
        advantage: `computed` from the rewards, or as `logged`. None: `logged` for `Groups` that were given advantages,
            else `computed`.
        seed: Of bootstrap, permutations and pseudo-groups.
        outcome: Name of the part of the reward that says whether a completion is right (`reward/NAME` of the canonical
            table), for phantom advantages. None: not named.
        baseline_by: Column of the log whose values divide the cross-prompt baseline: its pseudo-groups are of
            completions of one value, such as `task` of a mix of tasks. None: of any.
        share: `state`: measure beside the prefix trees which completions share a state (definitions: State sharing).
        keep_text: Of how many groups, chosen at random, the rollouts with their text travel with the analysis, beside
            the samples; `all`: of every one. None: of as many as fill a page (`texts.ROOM`). Changes no number.
    """

    std: Std | None = None
    advantage: Literal["computed", "logged"] | None = None
    seed: int = 0
    outcome: str | None = None
    baseline_by: str | None = None
    share: Literal["prefix", "state"] = "prefix"
    keep_text: int | Literal["all"] | None = None
