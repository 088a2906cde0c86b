"""Some trees of a forest as a forest of their own."""

from __future__ import annotations

import numpy as np

from .forest import Forest, Ints, ranges


def tree_of(forest: Forest, groups: Ints) -> Forest:
    """The trees of some groups, which are numbered anew in the order given; their rows are put end to end likewise.

    Args:
        forest: Groups numbered from 0, the rows of each next to each other and in order of the groups.
        groups: Which of them, shape (some,), each once.
    """
    root = np.flatnonzero(forest.parent < 0)
    steps, k = np.diff(root, append=len(forest.parent)), forest.size[root]
    at, opens = ranges(root[groups], steps[groups])
    rows, firsts = ranges(forest.first[root[groups]], k[groups])
    # How far each group's steps and rows move on the way to their new places.
    step_shift = np.repeat(opens - root[groups], steps[groups])
    row_shift = firsts - forest.first[root[groups]]
    parent = forest.parent[at]
    return Forest(
        order=forest.order[rows] + np.repeat(row_shift, k[groups]),
        group=np.repeat(np.arange(len(groups)), steps[groups]),
        parent=np.where(parent < 0, -1, parent + step_shift),
        start=forest.start[at],
        end=forest.end[at],
        first=forest.first[at] + np.repeat(row_shift, steps[groups]),
        size=forest.size[at],
    )
