"""What the stages of grouping leave behind, beside the rows."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import polars as pl


class Done(NamedTuple):
    """Filled by one stage after the other.

    Attributes:
        rejected: Tables of `rollouts.REJECTED`.
        notes: Sentences about what was inferred.
        counts: As in `rollouts.Rollouts`.
    """

    rejected: list[pl.DataFrame]
    notes: list[str]
    counts: Counter[str]
