"""What the hidden PRM knows, as sums per group: signal in its step rewards, and the order of unseen completions."""

from __future__ import annotations

import numpy as np

from .distinct import distinct
from .forest import Floats
from .groups import Groups
from .pair_order import observed_order
from .prm import ROUNDING
from .reliability import reliability_sums


def credit_sums(groups: Groups) -> dict[str, Floats]:
    """The sums behind reliability and leave-pair-out AUC (definitions: Reliability; Leave-pair-out AUC).

    Args:
        groups: Groups with advantages, numbered from 0.

    Returns:
        Those of `reliability_sums`, and pairs_right and pairs of `pair_order` over the rewards (without rewards over
        the advantages), 0 in zero-variance groups; shape (groups,) each.
    """
    values, equal = ordered_values(groups)
    order = observed_order(groups.forest, groups.seen, distinct(groups.forest), values, equal, ~groups.zero)
    return {**reliability_sums(groups), "pairs_right": order.right, "pairs": order.counted}


def ordered_values(groups: Groups) -> tuple[Floats, Floats]:
    """What pairs are ordered by, and up to which difference two of a group are equal.

    Returns:
        Rewards, or advantages without rewards, shape (completions,); and the tolerance, shape (groups,).
    """
    if groups.rewards is None:
        return groups.advantages, groups.tolerance
    equal = np.zeros(groups.number)
    # a completion may have no reward, as a trainer sees it before the log leaves it out
    np.maximum.at(equal, groups.groups, ROUNDING * np.abs(np.nan_to_num(groups.rewards)))
    return groups.rewards, equal
