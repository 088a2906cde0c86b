"""Holm's adjustment: p-values of several questions, so that few of all are answered wrongly by chance."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .forest import Floats


def holm(p: ArrayLike) -> Floats:
    """Adjust p-values together: the smallest times their number, the next times one less, ... (Holm, 1979).

    Args:
        p: Of all questions that are asked together, shape (questions,).

    Returns:
        In the same order, at most 1: whoever takes those up to .05 for differences is wrong anywhere in 5 % of cases.
    """
    raw = np.asarray(p, np.float64)
    order = np.argsort(raw, kind="stable")
    adjusted = np.empty(len(raw))
    # The running maximum keeps the adjusted ones in the order of the raw ones; without it a larger p could pass alone.
    adjusted[order] = np.minimum(np.maximum.accumulate(raw[order] * np.arange(len(raw), 0, -1)), 1.0)
    return adjusted
