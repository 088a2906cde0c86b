"""What changes the numbers of an analysis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..core.prm import Std


@dataclass(frozen=True, slots=True)
class Options:
    """What changes the numbers of an analysis.

    Attributes:
        std: Divisor of the group advantage (`prm.group_advantages`).
        advantage: `computed` from the rewards, or as `logged`.
        seed: Of bootstrap, permutations and pseudo-groups.
    """

    std: Std = "sample"
    advantage: Literal["computed", "logged"] = "computed"
    seed: int = 0
