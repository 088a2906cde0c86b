"""Leave-pair-out AUC: does the tree order two completions that it has not seen (definitions: How sure)?

The score of a completion of a pair is the mean of a process set without both, so it is linear in the values of the
group. Which set that is depends on the tree alone: it is found once and serves every permutation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .forest import Floats, Forest, Ints, Visits, ranges
from .product import SMALL

TIE = 0.5e-9  # of the largest value, at least of 1: score differences up to this are 0 once they are rounded
BLOCK = 1 << 18  # weights held at a time
CHUNK = 127  # pairs of a group evaluated at a time: signs of so many add up in int8
CACHE = 1 << 16  # scores evaluated at a time: they stay in the cache


class PairOrder(NamedTuple):
    """Pairs of each group, shape (groups, permutations) each, float64; the AUC is Σ right / Σ counted.

    Attributes:
        right: Pairs whose scores have the order of their values; a tie counts one half.
        counted: Pairs with unequal values of which at least one completion has a set without both.
    """

    right: Floats
    counted: Floats


def pair_order(
    forest: Forest, seen: Visits, classes: Ints, roots: Ints, values: Floats, tolerance: Floats
) -> PairOrder:
    """Order the pairs of groups of one size by the mean of the deepest set without them.

    Args:
        forest: The process steps.
        seen: `visits` of the forest: only sets with a loss token score.
        classes: `distinct` of the forest: copies are no pair, and count in no score of theirs.
        roots: Root step of each group, shape (groups,).
        values: Rewards or advantages of the rows of each group in tree order, shape (groups, k, permutations).
        tolerance: Difference up to which values of a group are equal, in their unit, shape (groups,).
    """
    groups, k, permutations = values.shape
    order = PairOrder(*np.zeros((2, groups, permutations)))
    block = max(1, BLOCK // (k * k * k))
    # An absolute bound would let rounding decide ties of large rewards.
    tie = TIE * np.maximum(1.0, np.abs(values).max(axis=(1, 2), initial=0.0))[:, None, None]
    for begin in range(0, groups, block):
        pairs = _pairs(forest, seen, classes, roots[begin : begin + block], k)
        for some, chunk in _chunks(pairs.counts, permutations, k):
            here = slice(begin + some.start, begin + some.stop)
            score = _sign(pairs.weights[some, chunk] @ values[here], tie[here])
            value = values[here].take(pairs.one[chunk], axis=1) - values[here].take(pairs.other[chunk], axis=1)
            value = _sign(value, tolerance[here, None, None])
            value *= pairs.counts[some, chunk, None].view(np.int8)  # numpy is four times slower at int8 times bool
            counted = np.einsum("gpn,gpn->gn", value, value).astype(np.float64)
            order.counted[here] += counted
            # A pair adds +1, 0 for a tie or -1 to the sum of products: (1 + that) / 2 is its share of right.
            order.right[here] += (counted + np.einsum("gpn,gpn->gn", score, value)) / 2
    return order


def observed_order(
    forest: Forest, seen: Visits, classes: Ints, values: Floats, tolerance: Floats, kept: NDArray[np.bool_]
) -> PairOrder:
    """`pair_order` of values as they are.

    Args:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        seen: `visits` of the forest.
        classes: `distinct` of the forest.
        values: Rewards or advantages, shape (completions,).
        tolerance: As of `pair_order`, of all groups, shape (groups,).
        kept: Groups to order, shape (groups,); the others have no pairs.

    Returns:
        Of all groups, shape (groups,) each.
    """
    root, in_order = np.flatnonzero(forest.parent < 0), values[forest.order]
    order = PairOrder(*np.zeros((2, len(root))))
    for k in np.unique(forest.size[root[kept]]):
        chosen = np.flatnonzero(kept & (forest.size[root] == k))
        own = in_order[forest.first[root[chosen], None] + np.arange(k)]
        of_size = pair_order(forest, seen, classes, root[chosen], own[:, :, None], tolerance[chosen])
        order.right[chosen], order.counted[chosen] = of_size.right[:, 0], of_size.counted[:, 0]
    return order


def _sign(differences: Floats, zero: Floats) -> NDArray[np.int8]:
    """1, 0 or -1; 0 within `zero`."""
    return np.subtract((differences > zero).view(np.int8), (differences < -zero).view(np.int8))


class _Pairs(NamedTuple):
    """All pairs of rows of some groups of k.

    Attributes:
        one, other: Their rows, places in the tree order of a group, shape (pairs,).
        counts: True where a pair counts if its values differ, shape (groups, pairs).
        weights: Of the rows of the group in score of one minus score of the other, 0 where the pair does not count,
            shape (groups, pairs, k).
    """

    one: Ints
    other: Ints
    counts: NDArray[np.bool_]
    weights: Floats


def _chunks(counts: NDArray[np.bool_], permutations: int, k: int) -> Iterator[tuple[slice, slice | Ints]]:
    """Groups, and pairs that count in one of them: about `CACHE` scores, and a `SMALL` product for each group."""
    groups, pairs = counts.shape
    most = max(1, min(CHUNK, SMALL // (k * permutations)))
    block = max(1, CACHE // (max(pairs, 1) * permutations))
    for begin in range(0, groups, block):
        some = slice(begin, min(begin + block, groups))
        count = np.flatnonzero(counts[some].any(axis=0))
        for first in range(0, len(count), most):
            # All pairs as a slice: a view of the weights.
            yield some, slice(None) if len(count) == pairs <= most else count[first : first + most]


class _Range(NamedTuple):
    """Places of a class or a process set in the tree order of its group: [begin, end), empty where there is none."""

    begin: Ints
    end: Ints

    @property
    def size(self) -> Ints:
        return self.end - self.begin

    def at(self, *where: NDArray) -> _Range:
        return _Range(self.begin[where], self.end[where])

    def holds(self, place: Ints) -> NDArray[np.bool_]:
        return (self.begin <= place) & (place < self.end)


def _pairs(forest: Forest, seen: Visits, classes: Ints, roots: Ints, k: int) -> _Pairs:
    own = _copies(classes[forest.first[roots, None] + np.arange(k)])
    sets = _two_deepest(forest, seen, roots, own)
    rows = np.triu_indices(k, 1)
    group, pair = np.indices((len(roots), len(rows[0]))).reshape(2, -1)
    one, other = (places[pair] for places in rows)
    sides = [_scored_by(sets, own, k, group, *rows) for rows in ((one, other), (other, one))]
    counts = (sides[0][1] | sides[1][1]) & ~own.at(group, one).holds(other)
    left_out = own.at(group[counts], one[counts]), own.at(group[counts], other[counts])
    first, second = (_mean_without(of.at(counts), left_out, k) for of, _ in sides)
    weights = np.zeros((len(group), k))
    weights[counts] = np.subtract(first, second, out=first)
    shape = len(roots), len(rows[0])
    return _Pairs(*rows, counts.reshape(shape), weights.reshape(*shape, k))


def _copies(classes: Ints) -> _Range:
    """The copies of each row, shape (groups, k); a class is a run of rows."""
    place, k = np.arange(classes.shape[1]), classes.shape[1]
    parts = np.ones((len(classes), k + 1), bool)
    parts[:, 1:-1] = classes[:, 1:] != classes[:, :-1]
    begin = np.maximum.accumulate(np.where(parts[:, :-1], place, 0), axis=1)
    end = np.minimum.accumulate(np.where(parts[:, 1:], place + 1, k)[:, ::-1], axis=1)[:, ::-1]
    return _Range(begin, end)


def _two_deepest(forest: Forest, seen: Visits, roots: Ints, own: _Range) -> tuple[_Range, _Range]:
    """The deepest intermediate set of each row with a loss token and a member that is no copy, and the next above.

    A third is never needed: the deepest lacks members other than a pair only if it is that pair and their copies, and
    the next above is larger.
    """
    groups, k = own.begin.shape
    all_roots = np.flatnonzero(forest.parent < 0)
    steps = np.diff(all_roots, append=len(forest.parent))[np.searchsorted(all_roots, roots)]
    step, _ = ranges(roots, steps)
    group = np.repeat(np.arange(groups), steps)
    size = forest.size[step]
    counts = (size > 1) & (size < k) & (seen.unique[step] > 0)
    step, group, size = step[counts], group[counts], size[counts]
    row, _ = ranges(forest.first[step] - forest.first[roots[group]] + k * group, size)
    step, size = np.repeat(step, size), np.repeat(size, size)
    others = size > own.size.ravel()[row]
    step, row = step[others], row[others]
    deepest = np.full((2, groups * k), -1)
    np.maximum.at(deepest[0], row, step)  # steps ascend from parent to child
    above = step < deepest[0, row]
    np.maximum.at(deepest[1], row[above], step[above])
    opens = np.repeat(forest.first[roots], k)
    begin = np.where(deepest < 0, 0, forest.first[deepest] - opens).reshape(2, groups, k)
    end = begin + np.where(deepest < 0, 0, forest.size[deepest]).reshape(2, groups, k)
    return _Range(begin[0], end[0]), _Range(begin[1], end[1])


def _scored_by(
    sets: tuple[_Range, _Range], own: _Range, k: int, group: Ints, row: Ints, other: Ints
) -> tuple[_Range, NDArray[np.bool_]]:
    """The set whose mean without both is the score of each `row`, or the whole group; and whether it is a set."""
    copies = own.size[group, row], own.size[group, other]
    begin, end, has = np.zeros_like(row), np.full_like(row, k), np.zeros(len(row), bool)
    for of_rows in sets[::-1]:
        one = of_rows.at(group, row)
        some = one.size > copies[0] + copies[1] * one.holds(other)
        begin[some], end[some] = one.begin[some], one.end[some]
        has |= some
    return _Range(begin, end), has


def _mean_without(of: _Range, left_out: tuple[_Range, _Range], k: int) -> Floats:
    """Weights of the rows of a group in the mean of a set without two classes, shape (pairs, k)."""
    below = np.tri(k + 1, k, -1, bool)  # rows of a table are copied faster than each place is compared
    inside, *classes = (below[end] ^ below[begin] for begin, end in (of, *left_out))
    inside &= ~(classes[0] | classes[1])
    return inside / inside.sum(axis=1, keepdims=True)
