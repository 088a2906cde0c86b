"""The ways in which the class values of a group can stand, written out where they are few (definitions: How sure).

With two rewards many permutations give every completion the value that another one gives it: eight completions of which
four are right stand in 70 ways, not in 40,320. Where a group has at most `MOST`, each is worked out once, and a
permutation draws one of them, all equally likely.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .exchange import Classes
from .forest import Floats, Ints
from .table_null import log_factorials

MOST = 199  # of a group: more are drawn one by one


class Ways(NamedTuple):
    """The ways of some groups.

    Attributes:
        number: How many each group has, 0 where they are more than `MOST`, shape (groups,).
        kind: Which of `tables` is that of the group, shape (groups,); of no meaning where `number` is 0.
        tables: Which class gives its value to each class, shape (classes of the group, ways) each. Those that get are
            counted by size and in tree order, those that give by size and value.
        place: What number each class has among those that get, shape (classes,).
        first: Where the classes of each group begin in `mean`, shape (groups,).
        mean: The means of all classes by group, size and value, shape (values, classes).
    """

    number: Ints
    kind: Ints
    tables: list[Ints]
    place: Ints
    first: Ints
    mean: Floats


def ways_of(classes: Classes, groups: int) -> Ways:
    """Count the ways of every group: of each size of class n! / Π c!, c how many classes have one value.

    Args:
        classes: Of the forest.
        groups: How many groups it has.
    """
    group, size = classes.group, classes.size
    by_size, by_value = np.lexsort((size, group)), np.lexsort((*classes.mean, size, group))
    mean, count = classes.mean[:, by_value], np.bincount(group, minlength=groups)
    first = np.cumsum(count) - count
    place = np.empty(len(group), np.int64)
    place[by_size] = np.arange(len(group)) - np.repeat(first, count)
    # Sorted: a run has one group, size and value, a kind one group and size.
    fresh = (np.diff(group[by_value], prepend=-1) != 0) | (np.diff(size[by_value], prepend=-1) != 0)
    runs = np.flatnonzero(fresh | (np.diff(mean, axis=1, prepend=np.nan) != 0).any(axis=0))
    kinds = np.flatnonzero(fresh)
    of_run, of_kind = (np.diff(opens, append=len(group)) for opens in (runs, kinds))
    logs, owner = log_factorials(int(of_kind.max(initial=0))), group[by_value]
    chosen = np.bincount(owner[kinds], logs[of_kind], groups) - np.bincount(owner[runs], logs[of_run], groups)
    few = chosen < np.log(MOST + 0.5)
    number = np.where(few, np.rint(np.exp(np.where(few, chosen, 0.0))), 0).astype(np.int64)
    kind, tables = _tables(np.where(fresh[runs], -of_run, of_run), owner[runs], few)
    return Ways(number, kind, tables, place, first, mean)


def _tables(runs: Ints, owner: Ints, few: NDArray[np.bool_]) -> tuple[Ints, list[Ints]]:
    """The tables of the groups with few ways, each once; `runs` are lengths, negative where a size of class begins."""
    some = few[owner]
    runs, owner = runs[some], owner[some]
    count = np.bincount(owner, minlength=len(few))
    padded = np.zeros((len(few), max(count.max(initial=0), 1)), np.int64)
    padded[owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)] = runs
    # Rows as bytes: `np.unique` compares them several times faster than along an axis.
    rows, kind = np.unique(padded.view(f"V{padded.itemsize * padded.shape[1]}").ravel(), return_inverse=True)
    kinds = rows.view(np.int64).reshape(-1, padded.shape[1])
    return kind.ravel(), [_table(tuple(row[row != 0].tolist())) for row in kinds]


@lru_cache(maxsize=1 << 10)
def _table(runs: tuple[int, ...]) -> Ints:
    """The table of a group with these runs; not to be written to."""
    table, first = np.zeros((0, 1), np.int64), 0
    begins = [at for at, length in enumerate(runs) if length < 0]
    for begin, end in pairwise([*begins, len(runs)]):
        counts = [abs(length) for length in runs[begin:end]]
        # Classes of one value are alike, so the first of them gives it.
        giver = first + np.cumsum(counts) - counts
        own = giver[_arranged(tuple(counts))]
        table = np.vstack([np.repeat(table, own.shape[1], axis=1), np.tile(own, table.shape[1])])
        first += sum(counts)
    return table


def _arranged(counts: tuple[int, ...]) -> Ints:
    """All orders of labels 0, 1, ... that come so often, shape (labels in all, orders)."""
    *others, last = counts
    if not others:
        return np.zeros((last, 1), np.int64)
    below, number = _arranged(tuple(others)), sum(counts)
    orders = []
    for places in combinations(range(number), last):
        order = np.full((number, below.shape[1]), len(others))
        order[np.setdiff1d(np.arange(number), places)] = below
        orders.append(order)
    return np.hstack(orders)


def values_of(ways: Ways, classes: Classes, groups: Ints, rows: Ints) -> list[Floats]:
    """All values of the rows of some groups in each of their ways.

    Every row keeps its difference to the mean of its class, as under `exchange.permuted_values`.

    Args:
        ways: Of the forest.
        classes: Of the forest.
        groups: Groups with one number of ways, which is not 0, and of one size, shape (groups,).
        rows: Their rows, in tree order, shape (groups, k).

    Returns:
        The values, shape (groups, k, ways) each.
    """
    shape = *rows.shape, int(ways.number[groups[0]])
    values, place, kind = [np.empty(shape) for _ in ways.mean], ways.place[classes.of_row[rows]], ways.kind[groups]
    for one in np.flatnonzero(np.bincount(kind)):
        same, table = np.flatnonzero(kind == one), ways.tables[one]
        givers, own = ways.first[groups[same], None] + np.arange(len(table)), place[same]
        for mean, value in zip(ways.mean, values, strict=True):
            of_classes = mean[givers].take(table, axis=1)
            value[same] = of_classes[np.arange(len(same))[:, None], own]
    for value, rest in zip(values, classes.rest[:, rows], strict=True):
        if rest.any():
            value += rest[:, :, None]
    return values
