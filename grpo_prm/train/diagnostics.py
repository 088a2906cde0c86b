"""The overlap and defect statistics of `analyze` for one training step, from the same functions, without intervals."""

from __future__ import annotations

import numpy as np

from ..analysis.ratios import point_estimates
from ..analysis.statistics import OF_GROUPS, STATISTICS
from ..core.credit import credit_sums
from ..core.defects import defect_sums
from ..core.groups import Groups
from ..core.overlap import completion_overlap, group_overlap

# What needs more than one step, or more than tokens and rewards, is left to `analyze`.
_OTHERS = ("certain_share", "reward")
_LOGGED = ("sharing", "teaching", "logprobs")
NAMES = tuple(name for name in OF_GROUPS if name not in _OTHERS and STATISTICS[name].section not in _LOGGED)


def step_figures(groups: Groups) -> dict[str, float | None]:
    """Figures over the groups of a step, every token in the loss (definitions: Overlap statistics; The defect).

    Args:
        groups: Of the step (`update.Batch.measured`).

    Returns:
        Name to figure; None for 0/0.
    """
    overlap = completion_overlap(groups.forest, groups.seen)
    of_groups = group_overlap(groups.forest, groups.seen, overlap, groups.groups, groups.number)
    columns = {
        **of_groups._asdict(),
        **defect_sums(groups),
        **credit_sums(groups),
        "tokens": np.bincount(groups.groups, groups.seen.completion, groups.number),
        "non_trivial": of_groups.intermediate_steps > 0,
        "zero_variance": groups.zero,
    }
    return point_estimates(columns, NAMES)
