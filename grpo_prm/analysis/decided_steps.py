"""How many decisions of a log are sure; Benjamini-Hochberg asks for all of them (definitions: Local advantage)."""

from __future__ import annotations

import numpy as np

from ..core.decisions import decidable, sure
from ..core.forest import Floats

SLICES = 64  # whose p are put together at a time


class DecidedSteps:
    """Counts the decisions of a log as its slices come; of those that can be sure each p is held once."""

    def __init__(self) -> None:
        self._number = 0
        self._held: list[Floats] = []

    def add(self, tests: Floats) -> None:
        """Add the decisions of a slice: p and least attainable p, shape (2, decisions)."""
        p, least = tests
        self._number += len(p)
        self._held.append(_distinct(p[decidable(least)], np.ones(int(decidable(least).sum()))))
        if len(self._held) > SLICES:
            self._held = [_distinct(*np.concatenate(self._held, axis=1))]

    def counts(self) -> dict[str, int]:
        """`decisions`: how many there are. `decidable`: those that could be sure. `sure_decisions`: those that are."""
        p, often = np.concatenate([np.zeros((2, 0)), *self._held], axis=1)
        p = np.repeat(p, often.astype(np.int64))
        return {
            "decisions": self._number,
            "decidable": len(p),
            "sure_decisions": int(sure(p, np.zeros(len(p))).sum()),
        }


def _distinct(p: Floats, often: Floats) -> Floats:
    """Each p once and how often it comes, shape (2, distinct)."""
    values, at = np.unique(p, return_inverse=True)
    return np.stack([values, np.bincount(at, often, len(values)).astype(np.float64)])
