"""Distinct completions: which completions of a group are copies, with equal token ids (definitions: How sure)."""

from __future__ import annotations

import numpy as np

from .forest import Forest, Ints


def last_steps(forest: Forest) -> Ints:
    """The step in which each completion ends; copies, and they alone, end in the same one.

    Returns:
        Index of the step of each row of `forest.order`, ascending, so copies are neighbours; shape (completions,). (Of
        each completion, in the order of the log, it is `result[np.argsort(forest.order)]`.)
    """
    last = np.zeros(len(forest.order), np.int64)
    # Steps ascend from parent to child, so the last one written to a row is the deepest on its path.
    np.maximum.at(last, forest.places[0], np.repeat(np.arange(len(forest.size)), forest.size))
    return last


def distinct(forest: Forest) -> Ints:
    """Number the distinct completions of all groups from 0, in tree order.

    Returns:
        Class of each row of `forest.order`, ascending: a class is a run of it, of one group, shape (completions,).
    """
    return np.cumsum(np.diff(last_steps(forest), prepend=-1) != 0) - 1
