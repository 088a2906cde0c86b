"""The live figures of a training: sums of groups, added over generations and processes, divided when TRL logs.

TRL averages what it logs; `analyze` divides sums, and a mean of ratios is another number.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..analysis.group_sums import group_sums, metric_names, no_sums, statistics_of
from ..core.forest import Floats
from ..core.groups import Groups
from ..core.prm import Std, group_advantages
from .trl_generation import Generation, WholeGroups, added

DIVISORS: dict[str, Std] = {"group": "sample", "none": "none", "batch": "batch"}  # TRL's scale_rewards


class Figures:
    """Sums since the last line of the log; the same on all processes."""

    def __init__(self) -> None:
        self._sums = no_sums()

    def add(self, generation: Generation, whole: WholeGroups, groups: Groups, std: Std) -> None:
        """Add the groups of a generation; a collective call, which all processes make.

        Args:
            generation: What this process has of it.
            whole: Its whole groups.
            groups: The same measured (`loss_groups`).
            std: Divisor of the advantages (`divisor_of`).
        """
        self._sums += added(_sums(generation, whole, groups, std), alone=whole.complete)

    def take(self) -> dict[str, float]:
        """Name in the logger to figure, of all groups since the last call; none where there was no group."""
        sums, self._sums = self._sums, no_sums()
        names = metric_names()
        return {names[name]: value for name, value in statistics_of(sums).items() if value is not None}


def _sums(generation: Generation, whole: WholeGroups, groups: Groups, std: Std) -> Floats:
    rows = measured_rows(whole)
    if not len(rows):
        return no_sums()
    if len(rows) < len(whole.ids):  # else the trees are there
        groups = Groups.of(
            [whole.ids[row] for row in rows],
            None,
            [whole.names[row] for row in rows],
            [whole.mask[row] for row in rows],
            advantages=np.zeros(len(rows)),
        )
    # Advantages in float64, as `analyze` computes them: TRL's float32 leaves a root with a mean where rewards differ by
    # little, and a whole root would count as raised or lowered.
    given = _of_batch(generation)[whole.rows][rows] if std == "batch" else None
    groups = replace(groups, rewards=whole.rewards[rows], given=given, std=std)
    _, first = np.unique(groups.groups, return_index=True)
    return group_sums(groups, whole.prompt_lengths[rows][first].astype(np.float64))


def measured_rows(whole: WholeGroups) -> NDArray[np.intp]:
    """The rows that `analyze` measures: those with a reward, in groups of two such or more."""
    finite = np.flatnonzero(np.isfinite(whole.rewards))
    names = np.array(whole.names)[finite]
    _, dense, count = np.unique(names, return_inverse=True, return_counts=True)
    return finite[count[dense] > 1]


def _of_batch(generation: Generation) -> Floats:
    """Advantages over the deviation of a generation on all processes, shape (all rows,)."""
    return group_advantages(generation.rewards, np.arange(len(generation.rewards)) // generation.k, "batch")


def divisor_of(trainer: Any) -> Std:
    """What `analyze` will take for the divisor of advantages that this trainer makes; `sample` where none fits."""
    if getattr(trainer, "multi_objective_aggregation", "sum_then_normalize") != "sum_then_normalize":
        return "sample"
    return DIVISORS.get(getattr(trainer, "scale_rewards", "group"), "sample")
