"""The statistics of some groups as sums that add up: over ranks, generations and steps, in a trainer.

What `analyze` says of a log is a ratio of such sums; a mean of ratios over ranks would not be.
"""

from __future__ import annotations

import numpy as np

from ..core.credit import credit_sums
from ..core.defects import defect_sums
from ..core.forest import Floats
from ..core.groups import Groups
from ..core.overlap import completion_overlap, group_overlap
from ..core.sharing import sharing
from .ratios import estimates, sums_of
from .statistics import OF_GROUPS, STATISTICS

# What needs the rewards of the whole log, or more than tokens and advantages, is left to `analyze`.
_LEFT_OUT = ("reward", "certain_share", "reliability_texts_once")
_SECTIONS = ("training", "overlap", "informativeness", "credit", "prm", "defects", "sharing")
NAMES = tuple(name for name in OF_GROUPS if name not in _LEFT_OUT and STATISTICS[name].section in _SECTIONS)
_PREFIX = {"overlap": "overlap", "sharing": "sharing"}  # section to prefix; the others are of the hidden PRM


def group_sums(groups: Groups, prompt_lengths: Floats | None = None) -> Floats:
    """Sums over groups, of which `statistics_of` makes the statistics.

    Args:
        groups: Whole groups.
        prompt_lengths: Tokens of the prompt of each group, shape (groups,); None: not known.

    Returns:
        Numerator, first and second denominator (the first again where there is one) of each of `NAMES`, shape
        (names, 3), float64. Sums of different groups add up.

    Examples:
        >>> import grpo_prm
        >>> g = grpo_prm.Groups.of([[5, 6, 7], [5, 6, 8], [5, 9]], [1.0, 0.0, 1.0], [0, 0, 0])
        >>> sums = grpo_prm.group_sums(g)  # add those of other groups to it
        >>> sums.shape[1]
        3
    """
    overlap = group_overlap(
        groups.forest, groups.seen, completion_overlap(groups.forest, groups.seen), groups.groups, groups.number
    )
    columns = {
        **overlap._asdict(),
        **defect_sums(groups),
        **credit_sums(groups),
        **sharing(groups.forest, groups.number, prompt_lengths)._asdict(),
        "tokens": np.bincount(groups.groups, groups.seen.completion, groups.number),
        "non_trivial": overlap.intermediate_steps > 0,
        "zero_variance": groups.zero,
    }
    return sums_of(columns, NAMES)


def no_sums() -> Floats:
    """The sums of no group: what others are added to."""
    return np.zeros((len(NAMES), 3))


def statistics_of(sums: Floats) -> dict[str, float | None]:
    """The statistics of some groups.

    Args:
        sums: `group_sums`, or several added, shape (names, 3).

    Returns:
        Name to statistic for each of `NAMES`; None for 0/0.

    Examples:
        >>> import grpo_prm
        >>> g = grpo_prm.Groups.of([[5, 6, 7], [5, 6, 8], [5, 9]], [1.0, 0.0, 1.0], [0, 0, 0])
        >>> round(grpo_prm.statistics_of(grpo_prm.group_sums(g))["path_depth"], 3)
        0.667
    """
    return estimates(sums, NAMES)


def metric_names() -> dict[str, str]:
    """What loggers call each of `NAMES`: `overlap/path_depth`, `prm/suppressed_good`, `sharing/tokens_per_unique`."""
    return {name: f"{_PREFIX.get(STATISTICS[name].section, 'prm')}/{name}" for name in NAMES}
