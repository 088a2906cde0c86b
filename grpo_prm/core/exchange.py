"""What a permutation exchanges: values of distinct completions that come equally often (definitions: permutation null).

A reward is a function of the text, so distinct completions are permuted, not rows: copies move together. And how often
a text comes says something about its reward, so classes of copies trade places only with classes of the same size.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .distinct import distinct
from .forest import Floats, Forest, Ints


class Classes(NamedTuple):
    """The classes of copies of a forest, and the values that are permuted over them; rows in tree order.

    Attributes:
        of_row: Class of each row, ascending, shape (completions,).
        size: Rows of each class, shape (classes,).
        mean: Mean of each value in each class, shape (values, classes).
        rest: Difference of each row to that mean, exactly 0 where the copies agree, shape (values, completions).
        rows: The values themselves, shape (values, completions).
        group: Of each class, by number, shape (classes,).
    """

    of_row: Ints
    size: Ints
    mean: Floats
    rest: Floats
    rows: Floats
    group: Ints


def classes_of(forest: Forest, rows: Floats) -> Classes:
    """The classes of copies of a forest that has rows, with their values.

    Args:
        forest: The process steps.
        rows: Values of each row in tree order, shape (values, completions).
    """
    of_row = distinct(forest)
    opens = np.flatnonzero(np.diff(of_row, prepend=-1))
    size = np.diff(opens, append=len(of_row))
    # The mean of equal floats need not equal them: where copies agree, their value is taken as it is.
    agree = np.maximum.reduceat(rows, opens, axis=1) == np.minimum.reduceat(rows, opens, axis=1)
    mean = np.where(agree, rows[:, opens], np.add.reduceat(rows, opens, axis=1) / size)
    k = forest.size[forest.parent < 0]
    return Classes(of_row, size, mean, rows - mean[:, of_row], rows, np.repeat(np.arange(len(k)), k)[opens])


def permuted_values(seeds: NDArray[np.uint64], classes: Classes, rows: Ints, permutations: int) -> list[Floats]:
    """Permute the class values of groups among the classes of one size, all values in the same order.

    Every row keeps its difference to the mean of its class, so mean and deviation of the group stay, and advantages are
    permuted as rewards are.

    Args:
        seeds: Of each group, shape (groups,).
        classes: Of the forest.
        rows: Rows of groups of one size, in tree order, shape (groups, k).
        permutations: How many.

    Returns:
        The permuted values, shape (groups, k, permutations) each.
    """
    stream = np.random.Philox(key=0)  # a counter-based stream for each group: to set its key is ten times cheaper
    rng, state = np.random.Generator(stream), stream.state
    values = [np.empty((*rows.shape, permutations)) for _ in classes.mean]
    of_row = classes.of_row[rows]
    begin, end = of_row[:, 0], of_row[:, -1] + 1
    copies, differ = end - begin < rows.shape[1], (classes.rest[:, rows] != 0).any(axis=(0, 2))
    sizes = classes.size[of_row]
    alike = (sizes == sizes[:, :1]).all(axis=1)
    for g, seed in enumerate(seeds):
        state["state"]["key"][0] = seed
        stream.state = state
        places = _places(int(end[g] - begin[g]), permutations)
        order = rng.permuted(places, axis=0) if alike[g] else _orders(rng, classes.size[begin[g] : end[g]], places)
        if copies[g]:
            order = order[of_row[g] - begin[g]]
        for mean, rest, permuted in zip(classes.mean, classes.rest, values, strict=True):
            mean[begin[g] : end[g]].take(order, out=permuted[g], mode="clip")
            if differ[g]:
                permuted[g] += rest[rows[g], None]
    return values


@lru_cache(maxsize=64)
def _places(number: int, permutations: int) -> Ints:
    """0, 1, ... in each column, shape (number, permutations); not to be written to."""
    return np.repeat(np.arange(number), permutations).reshape(-1, permutations)


def _orders(rng: np.random.Generator, sizes: Ints, places: Ints) -> Ints:
    """Which class gives its value to each class of a group of several sizes, shape (classes, permutations)."""
    order = places.copy()
    for kind in np.flatnonzero(np.bincount(sizes) > 1):
        same = np.flatnonzero(sizes == kind)
        order[same] = rng.permuted(places[same], axis=0)
    return order


def exchangeable(forest: Forest, values: Floats) -> NDArray[np.bool_]:
    """True for the groups in which a permutation can change something, shape (groups,).

    These have two classes of copies of one size with different values; a null over other groups has no width.

    Args:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        values: Rewards or advantages, shape (completions,).
    """
    classes = classes_of(forest, values[None, forest.order])
    opens = np.flatnonzero(np.diff(classes.of_row, prepend=-1))
    group = np.repeat(np.arange(int((forest.parent < 0).sum())), forest.size[forest.parent < 0])[opens]
    by_kind = np.lexsort((classes.mean[0], classes.size, group))
    group, size, mean = group[by_kind], classes.size[by_kind], classes.mean[0][by_kind]
    # Sorted by group, size and value: classes that can trade differing values stand next to each other somewhere.
    trade = (np.diff(group) == 0) & (np.diff(size) == 0) & (np.diff(mean) != 0)
    return np.bincount(group[1:], trade, int((forest.parent < 0).sum())) > 0
