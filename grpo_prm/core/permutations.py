"""The permutation null: what depends on rewards, with those of each group permuted (definitions: permutation null).

A tree can be non-trivial in shape and say nothing. Under a permutation inside the group the shape stays and the tie
between branch and reward is cut. What may trade places is in `exchange`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .arranged_sums import Bounds, PermutedSums, Trees, arranged_sums
from .draws import drawn
from .exchange import Classes, classes_of, permuted_values
from .forest import Floats, Forest, Ints, Visits
from .interval import student_half_width, wilson_bound
from .prm import ROUNDING, zero_variance
from .ways import Ways, values_of, ways_of

PERMUTATIONS = 199
BLOCK = 1 << 17  # permuted values held at a time: they stay in the cache
PIECE = 32  # groups whose permutations are held at a time
Arranged = Callable[[Ints, list[Floats]], Floats]


def certainty_bounds(forest: Forest, rewards: Floats, groups: Ints) -> Bounds:
    """Distance beyond which the interval of R(λ) leaves mean(r) outside, in units of the reward.

    The Wilson bound maps the lowest and the highest reward of the group to 0 and 1, which is right if the whole log
    has just these two. Groups whose rewards are all equal get infinite bounds.

    Args:
        forest: The process steps.
        rewards: r, shape (completions,).
        groups: Dense group of each completion, shape (completions,).
    """
    number = int(groups.max(initial=-1)) + 1
    low, high = np.full(number, np.inf), np.full(number, -np.inf)
    np.minimum.at(low, groups, rewards)
    np.maximum.at(high, groups, rewards)
    count = np.maximum(np.bincount(groups), 1)
    mean = np.bincount(groups, rewards) / count
    std = np.sqrt(np.bincount(groups, (rewards - mean[groups]) ** 2) / np.maximum(count - 1, 1))
    span = high - low
    flat = zero_variance(rewards, groups)
    share = np.divide(mean - low, span, out=np.zeros(number), where=~flat)
    wilson = span[forest.group] * wilson_bound(share[forest.group], forest.size)
    student = student_half_width(std[forest.group], forest.size, forest.k)
    wilson[flat[forest.group]] = student[flat[forest.group]] = np.inf
    return Bounds(wilson, student)


def zero_sums(*bins: int, permutations: int = PERMUTATIONS) -> PermutedSums:
    """All sums zero, shape (*bins, permutations) each: to add to."""
    return PermutedSums(*np.zeros((len(PermutedSums._fields), *bins, permutations)))


class NullRange(NamedTuple):
    """Mean and central 95 % of a figure under permutation; None where no permutation has it."""

    null_mean: float | None
    null_low: float | None
    null_high: float | None


def null_range(values: Floats) -> NullRange:
    """Mean, 2.5 and 97.5 % of a figure over the permutations that have it."""
    values = values[np.isfinite(values)]
    if not len(values):
        return NullRange(None, None, None)
    # What `np.percentile` does, without its overhead: a log has thousands of such ranges.
    last = len(values) - 1
    low, high = np.interp([0.025 * last, 0.975 * last], np.arange(last + 1), np.sort(values))
    return NullRange(float(values.mean()), float(low), float(high))


def null_ranges(values: Floats) -> tuple[Floats, Floats, Floats]:
    """`null_range` of many figures: shape (..., permutations) to mean, low and high, shape (...) each, NaN for none."""
    values = np.ascontiguousarray(values)
    has = np.isfinite(values)
    last = np.maximum(has.sum(axis=-1) - 1, 0)
    ordered = np.sort(np.where(has, values, np.inf), axis=-1)
    some, ends = has.any(axis=-1), []
    for share in (0.025, 0.975):
        at = share * last
        below = at.astype(np.int64)
        low = np.take_along_axis(ordered, below[..., None], axis=-1)[..., 0]
        high = np.take_along_axis(ordered, np.minimum(below + 1, last)[..., None], axis=-1)[..., 0]
        ends.append(np.subtract(high, low, out=np.zeros(low.shape), where=some) * (at - below) + low)
    mean = values.mean(axis=-1)
    for place in zip(*np.nonzero(some & ~has.all(axis=-1)), strict=True):  # permutations that lack a figure are rare
        mean[place] = values[place][has[place]].mean()
    low, high = (np.where(some, end, np.nan) for end in ends)
    return np.where(some, mean, np.nan), low, high


def permuted_sums(
    forest: Forest,
    seen: Visits,
    advantages: Floats,
    tolerance: Floats,
    seeds: NDArray[np.uint64],
    bounds: Bounds | None = None,
    rewards: Floats | None = None,
    bins: Ints | None = None,
    permutations: int = PERMUTATIONS,
) -> PermutedSums:
    """Permute the advantages inside every group, and add up what each permutation gives.

    Args:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        seen: `visits` of the forest.
        advantages: a, shape (completions,). Groups in which all are equal (zero variance) add nothing.
        tolerance: `zero_tolerance` of each group, shape (groups,).
        seeds: `group_seed` of each group, shape (groups,).
        bounds: Distance of a step's mean from its group's mean beyond which it is certain; None: nothing is.
        rewards: What the bounds are about, shape (completions,), permuted with the advantages; None: the advantages.
            Groups in which they differ count for certainty whatever their advantages are.
        bins: What to add up over: bin of each group, dense from 0 (its training step, say); None: all groups.
        permutations: How many.
    """
    exchange = Exchange.of(forest, advantages, tolerance, rewards)
    trees = Trees.of(forest, seen, exchange.classes, tolerance, exchange.equal, bounds) if len(exchange.size) else None

    def arranged(groups: Ints, values: list[Floats]) -> Floats:
        assert trees
        return arranged_sums(trees, groups, values)

    bins = np.zeros(len(exchange.size), np.int64) if bins is None else bins
    return PermutedSums(*exchange.sums(arranged, len(PermutedSums._fields), seeds, bins, permutations))


class Exchange(NamedTuple):
    """What the permutations of a forest exchange.

    Attributes:
        classes: With the values that are permuted.
        ways: In which the values of each group can stand.
        some: Groups in which values differ, ascending: the others add nothing.
        equal: Within which two of the last of the values are equal, shape (groups,).
        first, size: Where the rows of each group begin in tree order, and how many they are, shape (groups,).
    """

    classes: Classes
    ways: Ways
    some: Ints
    equal: Floats
    first: Ints
    size: Ints

    @classmethod
    def of(cls, forest: Forest, advantages: Floats, tolerance: Floats, rewards: Floats | None) -> Exchange:
        """What `permuted_sums` exchanges; its arguments."""
        root = np.flatnonzero(forest.parent < 0)
        values = advantages[None] if rewards is None else np.stack([advantages, rewards])
        classes, first = classes_of(forest, values[:, forest.order]), forest.first[root]
        most = least = values
        if len(root):
            most, least = (f.reduceat(classes.rows, first, axis=1) for f in (np.maximum, np.minimum))
        some = (most > least).any(axis=0)  # with advantages of a log a group may have none and rewards that differ
        # Rewards are ordered as they are where they are not what the advantages were made of.
        equal = tolerance if rewards is None else ROUNDING * np.maximum(most, -least)[1]
        return cls(classes, ways_of(classes, len(root)), np.flatnonzero(some), equal, first, forest.size[root])

    def rows_of(self, groups: Ints) -> Ints:
        """The rows of groups of one size, in tree order, shape (groups, k)."""
        return self.first[groups][:, None] + np.arange(self.size[groups[0]])

    def sums(
        self, arranged: Arranged, number: int, seeds: NDArray[np.uint64], bins: Ints, permutations: int = PERMUTATIONS
    ) -> Floats:
        """Add up what every permutation gives.

        Args:
            arranged: The sums of every arrangement of groups of one size, shape (groups, arrangements, sums), from
                these groups and `arranged_sums`' values.
            number: How many sums.
            seeds: As of `permuted_sums`.
            bins: As of `permuted_sums`.
            permutations: How many.

        Returns:
            Shape (sums, bins, permutations).
        """
        sums = np.zeros((int(bins.max(initial=0)) + 1, permutations, number))
        for pieces in _blocks(self.some, self.size, self.ways.number, bins, permutations):
            self._add(sums, arranged, seeds, bins, pieces)
        return np.ascontiguousarray(np.moveaxis(sums, -1, 0))

    def _add(self, sums: Floats, arranged: Arranged, seeds: NDArray[np.uint64], bins: Ints, pieces: list[Ints]) -> None:
        """Add the permutations of groups of one size and number of ways to the bins, shape (bins, permutations, sums).

        What the groups of a piece give is added up first.
        """
        groups, permutations = np.concatenate(pieces), sums.shape[1]
        few, rows = int(self.ways.number[groups[0]]), self.rows_of(groups)
        if few:
            each = arranged(groups, values_of(self.ways, self.classes, groups, rows))
            chosen = drawn(seeds[groups], few, permutations) + few * np.arange(len(groups))[:, None]
            each = each.reshape(-1, each.shape[-1])
        else:
            each = arranged(groups, permuted_values(seeds[groups], self.classes, rows, permutations))
        begin = 0
        for piece in pieces:
            own = slice(begin, begin + len(piece))
            of_piece = each.take(chosen[own].ravel(), axis=0).reshape(len(piece), *sums.shape[1:]) if few else each[own]
            sums[bins[piece[0]]] += of_piece.sum(axis=0)
            begin += len(piece)


def _blocks(some: Ints, sizes: Ints, ways: Ints, bins: Ints, permutations: int) -> Iterator[list[Ints]]:
    """Groups of one size, number of ways and bin, `PIECE` at a time; of several bins as many as `BLOCK` allows.

    A piece depends on the groups of its bin alone, and with it the order in which floats are added up.
    """
    order = some[np.lexsort((bins[some], ways[some], sizes[some]))]
    kinds = np.stack([sizes, ways, bins])[:, order]
    changes = (np.diff(kinds, axis=1, prepend=-1) != 0).any(axis=0)
    opens = np.flatnonzero(changes)
    within = np.arange(len(order)) - np.repeat(opens, np.diff(opens, append=len(order)))
    most = np.maximum(1, BLOCK // (np.where(kinds[1] > 0, kinds[1], permutations) * kinds[0]))
    begins = np.flatnonzero(within % np.minimum(most, PIECE) == 0)
    block: list[Ints] = []
    held = 0
    for begin, end in pairwise([*begins.tolist(), len(order)]):
        if block and (held + end - begin > most[begin] or (kinds[:2, begin] != kinds[:2, begin - 1]).any()):
            yield block
            block, held = [], 0
        block.append(order[begin:end])
        held += end - begin
    if block:
        yield block
