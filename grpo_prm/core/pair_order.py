"""Leave-pair-out AUC: does the tree order two completions that it has not seen (definitions: How sure)?

The score of a completion of a pair is the mean of a process set without both, so it is linear in the values of the
group. Which set that is depends on the tree alone: it is found once and serves every permutation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    k = values.shape[1]
    return ordered(lambda some: _pairs(forest, seen, classes, roots[some], k), values, tolerance)


def ordered(pairs_of: Callable[[slice], Pairs], values: Floats, tolerance: Floats) -> PairOrder:
    """Order the pairs of groups of one size by scores that are linear in the values of their group.

    Args:
        pairs_of: The pairs of some of the groups.
        values: As of `pair_order`.
        tolerance: As of `pair_order`.
    """
    groups, k, permutations = values.shape
    order = PairOrder(*np.zeros((2, groups, permutations)))
    block = max(1, BLOCK // (k * k * k))
    # An absolute bound would let rounding decide ties of large rewards.
    tie = TIE * np.maximum(1.0, np.abs(values).max(axis=(1, 2), initial=0.0))[:, None, None]
    for begin in range(0, groups, block):
        pairs = pairs_of(slice(begin, begin + block))
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
    root = np.flatnonzero(forest.parent < 0)

    def order(chosen: Ints, own: Floats) -> PairOrder:
        return pair_order(forest, seen, classes, root[chosen], own, tolerance[chosen])

    return by_size(forest, values, kept, order)


def by_size(
    forest: Forest, values: Floats, kept: NDArray[np.bool_], order: Callable[[Ints, Floats], PairOrder]
) -> PairOrder:
    """Order the pairs of groups as their values are, those of one size at a time.

    Args:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        values: Rewards or advantages, shape (completions,).
        kept: As of `observed_order`.
        order: `ordered` of groups of one size, from these and their values.

    Returns:
        Of all groups, shape (groups,) each.
    """
    root, in_order = np.flatnonzero(forest.parent < 0), values[forest.order]
    found = PairOrder(*np.zeros((2, len(root))))
    for k in np.unique(forest.size[root[kept]]):
        chosen = np.flatnonzero(kept & (forest.size[root] == k))
        own = in_order[forest.first[root[chosen], None] + np.arange(k)]
        of_size = order(chosen, own[:, :, None])
        found.right[chosen], found.counted[chosen] = of_size.right[:, 0], of_size.counted[:, 0]
    return found


def _sign(differences: Floats, zero: Floats) -> NDArray[np.int8]:
    """1, 0 or -1; 0 within `zero`."""
    return np.subtract((differences > zero).view(np.int8), (differences < -zero).view(np.int8))


class Pairs(NamedTuple):
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


def _pairs(forest: Forest, seen: Visits, classes: Ints, roots: Ints, k: int) -> Pairs:
    own = classes[forest.first[roots, None] + np.arange(k)]
    alike = own[:, :, None] == own[:, None, :]
    copies = np.count_nonzero(alike, axis=2)
    begin, end = _two_deepest(forest, seen, roots, copies)
    place = np.arange(k)
    # Members of the deepest set of each row, of the next above, and of the group, shape (3, groups, k, k).
    inside = np.ones((3, len(roots), k, k), bool)
    np.logical_and(begin[..., None] <= place, place < end[..., None], out=inside[:2])
    one, other = np.triu_indices(k, 1)
    others = ~(alike.take(one, axis=1) | alike.take(other, axis=1))
    first, has_first = _mean_without(inside, end - begin, copies, others, one, other)
    second, has_second = _mean_without(inside, end - begin, copies, others, other, one)
    counts = (has_first | has_second) & ~alike.reshape(len(roots), -1).take(one * k + other, axis=1)
    weights = np.subtract(first, second, out=first)
    weights[~counts] = 0.0
    return Pairs(one, other, counts, weights)


def _mean_without(
    inside: NDArray[np.bool_], sizes: Ints, copies: Ints, others: NDArray[np.bool_], row: Ints, other: Ints
) -> tuple[Floats, NDArray[np.bool_]]:
    """The score of one side of each pair.

    Args:
        inside: Members of the sets that may score each row, shape (3, groups, k, k).
        sizes: Of the first two of them, shape (2, groups, k).
        copies: How many rows equal each row, shape (groups, k).
        others: The rows that copy neither, shape (groups, pairs, k).
        row: The scored row of each pair, shape (pairs,).
        other: The other one.

    Returns:
        Weights of the rows of the group in the mean of the set without the pair and its copies, shape
        (groups, pairs, k), and whether that set is one of the first two, shape (groups, pairs).
    """
    groups, k = copies.shape
    mine, theirs = copies.take(row, axis=1), copies.take(other, axis=1)
    # A set holds all copies of a row or none, and those of its own row.
    holds = inside[:2].reshape(2, groups, k * k).take(row * k + other, axis=2)
    left = np.concatenate([sizes.take(row, axis=2) - mine - theirs * holds, (k - mine - theirs)[None]])
    level = np.where(left[0] > 0, 0, np.where(left[1] > 0, 1, 2))
    at = (level * groups + np.arange(groups)[:, None]) * k + row
    scored = inside.reshape(-1, k).take(at, axis=0)
    scored &= others
    size = np.where(level == 0, left[0], np.where(level == 1, left[1], left[2]))
    return scored * (1 / np.maximum(size, 1))[:, :, None], level < 2


def _two_deepest(forest: Forest, seen: Visits, roots: Ints, copies: Ints) -> tuple[Ints, Ints]:
    """The deepest intermediate set of each row with a loss token and a member that is no copy, and the next above.

    A third is never needed: the deepest lacks members other than a pair only if it is that pair and their copies, and
    the next above is larger.

    Args:
        forest: The process steps.
        seen: `visits` of the forest.
        roots: Root step of each group, shape (groups,).
        copies: How many rows equal each row, itself included, shape (groups, k).

    Returns:
        Where the members of either set begin and end in the tree order of their group, shape (2, groups, k) each; an
        empty range where there is none.
    """
    groups, k = copies.shape
    all_roots = np.flatnonzero(forest.parent < 0)
    steps = np.diff(all_roots, append=len(forest.parent))[np.searchsorted(all_roots, roots)]
    step, _ = ranges(roots, steps)
    group = np.repeat(np.arange(groups), steps)
    size = forest.size[step]
    counts = (size > 1) & (size < k) & (seen.unique[step] > 0)
    step, group, size = step[counts], group[counts], size[counts]
    row, _ = ranges(forest.first[step] - forest.first[roots[group]] + k * group, size)
    step, size = np.repeat(step, size), np.repeat(size, size)
    others = size > copies.ravel()[row]
    step, row = step[others], row[others]
    deepest = np.full((2, groups * k), -1)
    np.maximum.at(deepest[0], row, step)  # steps ascend from parent to child
    above = step < deepest[0, row]
    np.maximum.at(deepest[1], row[above], step[above])
    opens = np.repeat(forest.first[roots], k)
    begin = np.where(deepest < 0, 0, forest.first[deepest] - opens).reshape(2, groups, k)
    end = begin + np.where(deepest < 0, 0, forest.size[deepest]).reshape(2, groups, k)
    return begin, end
