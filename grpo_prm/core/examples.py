"""Which group shows the defect best to a reader (definitions: The defect, as diagnostics)."""

from __future__ import annotations

import numpy as np

from .defects import suppressed_good
from .forest import Floats, add_up
from .groups import Groups

READABLE = 200  # tokens from the start of a completion to the end of a step that are read at one go
SEVERAL = 2  # good completions that one step holds back together
DIGITS = 9  # beyond them two groups explain the defect equally well


def clarity(groups: Groups) -> Floats:
    """How well each group shows what suppressed-good means: largest |A| times share.

    The largest |A| is over the intermediate steps with A < 0 that two good completions or more go through and that end
    within the first 200 tokens; the share is that of suppressed-good tokens among the tokens of good completions.

    Returns:
        Shape (groups,), float64, to nine digits; 0 where no such step is.
    """
    forest, seen, number = groups.forest, groups.seen, groups.number
    pairs = suppressed_good(groups)
    held_back = add_up(seen.step, pairs & (seen.tokens > 0), len(forest.size))
    shown = forest.intermediate & (held_back >= SEVERAL) & (forest.end <= READABLE)
    largest = np.zeros(number)
    np.maximum.at(largest, forest.group[shown], np.abs(groups.set_advantages[shown]))
    suppressed = add_up(groups.groups[seen.row], seen.tokens * pairs, number)
    good = add_up(groups.groups, seen.completion * groups.sign.good, number)
    share = np.divide(suppressed, good, out=np.zeros(number), where=good > 0)
    return np.round(largest * share, DIGITS)
