"""What the stages of grouping leave behind, beside the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import polars as pl


class Done(NamedTuple):
    """Filled by one stage after the other.

    Attributes:
        rejected: Tables of `rollouts.REJECTED`.
        notes: Sentences about what was inferred.
        counts: As in `rollouts.Rollouts`.
        told: What was done to single rows, as a sentence (see `told`), to their number.
    """

    rejected: list[pl.DataFrame]
    notes: list[str]
    counts: Counter[str]
    told: Counter[str]


def once(noted: dict[str, str], kind: str, sentence: str) -> Iterator[str]:
    """A sentence with an example, unless one of its kind was said before.

    Args:
        noted: What was said, by its kind; grows.
        kind: What the sentence is about.
        sentence: What would be said.
    """
    if kind not in noted:
        noted[kind] = sentence
        yield sentence
