"""The path of every completion: its process steps in a row, from the first token to the last."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..core.forest import Forest, Ints, visits


class Paths(NamedTuple):
    """(completion, step) pairs, completion by completion, each path from its first step on; empty roots are left out.

    Attributes:
        row: Completion of each pair, ascending, shape (pairs,), int64.
        step: Step of each pair, ascending within a completion, shape (pairs,), int64.
        loss: Tokens of the step that are in the loss of this completion, shape (pairs,), int64.
    """

    row: Ints
    step: Ints
    loss: Ints

    def where(self, some: NDArray[np.bool_]) -> Paths:
        """The pairs that a flag of shape (pairs,) names."""
        return Paths(self.row[some], self.step[some], self.loss[some])


def paths(forest: Forest, mask: NDArray[np.bool_] | None) -> Paths:
    """Walk along every completion.

    Args:
        forest: The process steps.
        mask: True where a token is in the loss, shape (tokens,); None: all are.
    """
    seen = visits(forest, mask)
    along = np.argsort(seen.row, kind="stable")  # steps ascend along every path
    along = along[forest.length[seen.step[along]] > 0]
    return Paths(seen.row[along], seen.step[along], seen.tokens[along])


def first_of_row(row: Ints) -> NDArray[np.bool_]:
    """True at the first pair of each completion; `row` is ascending, shape (pairs,)."""
    return np.insert(row[1:] != row[:-1], 0, values=True)[: len(row)]


def last_of_row(row: Ints) -> NDArray[np.bool_]:
    """True at the last pair of each completion; `row` is ascending, shape (pairs,)."""
    return np.append(row[1:] != row[:-1], True)[: len(row)]
