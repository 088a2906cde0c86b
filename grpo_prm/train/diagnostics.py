"""The overlap and defect statistics of `analyze` for one training step, from the same functions, without intervals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..analysis.statistics import RATIOS, figures
from ..core.defects import defect_sums, signs
from ..core.forest import build_forest, visits
from ..core.overlap import completion_overlap, group_overlap
from ..core.prm import beyond, step_means, zero_tolerance, zero_variance
from .update import Batch

NAMES = tuple(name for name in RATIOS if name not in ("certain_share", "reward"))  # what needs more than one step


def step_figures(batch: Batch, advantages: NDArray[np.float64]) -> dict[str, float | None]:
    """Figures over the groups of a step, every token in the loss (SPEC: Overlap statistics; The defect).

    Args:
        batch: The rollouts.
        advantages: a, shape (completions,).

    Returns:
        Name to figure; None for 0/0.
    """
    groups, number = batch.groups, len(batch.prompts)
    tokens = np.array([token for row in batch.completions for token in row], np.int64)
    forest = build_forest(tokens, batch.lengths, groups)
    seen = visits(forest)
    zero = zero_variance(batch.rewards, groups)
    tolerance = zero_tolerance(advantages, groups)
    step = beyond(tolerance[forest.group], step_means(forest, advantages))
    overlap = group_overlap(forest, seen, completion_overlap(forest, seen), groups, number)
    sign = signs(forest, advantages, step, tolerance, groups)
    columns = {
        **overlap._asdict(),
        **defect_sums(forest, seen, advantages, step, sign, groups, zero),
        "tokens": np.bincount(groups, seen.completion, number),
        "non_trivial": overlap.intermediate_steps > 0,
        "zero_variance": zero,
    }
    return figures(columns, NAMES)
