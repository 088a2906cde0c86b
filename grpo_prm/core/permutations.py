"""The permutation null: what depends on rewards, with those of each group permuted (definitions: permutation null).

A tree can be non-trivial in shape and say nothing. Under a permutation inside the group the shape stays and the tie
between branch and reward is cut. What may trade places is in `exchange`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .exchange import classes_of, permuted_values
from .forest import Floats, Forest, Ints, Visits, ranges
from .interval import student_half_width, wilson_bound
from .overlap import identical
from .pair_order import pair_order
from .prm import ROUNDING, beyond, zero_variance

PERMUTATIONS = 199
BLOCK = 1 << 18  # permuted values held at a time: they stay in the cache


class Bounds(NamedTuple):
    """How far a step reward must be from its group's mean to be certain, by either interval, shape (steps,) each."""

    wilson: Floats
    student: Floats


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


class PermutedSums(NamedTuple):
    """Sums of every permutation over groups, named as in `defects.defect_sums`.

    `permuted_sums` gives (bins, permutations) of each; over the groups of one bin it is (permutations,).

    `pairs_right` and `pairs` are those of `pair_order`, of rewards where they are given.
    `certain_wilson` and `certain_student` count the intermediate tokens whose step-reward interval leaves the mean
    outside, by either interval; which one holds is known once the whole log is read.
    """

    informative_sum: Floats
    good_tokens: Floats
    suppressed_good_tokens: Floats
    bad_tokens: Floats
    boosted_bad_tokens: Floats
    inherited_tokens: Floats
    certain_wilson: Floats
    certain_student: Floats
    pairs_right: Floats
    pairs: Floats


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
    root = np.flatnonzero(forest.parent < 0)
    bins = np.zeros(len(root), np.int64) if bins is None else bins
    sums = zero_sums(int(bins.max(initial=0)) + 1, permutations=permutations)
    if not len(root):
        return sums
    between = _between(forest, seen)
    values = advantages[None] if rewards is None else np.stack([advantages, rewards])
    classes = classes_of(forest, values[:, forest.order])
    most, least = (f.reduceat(classes.rows, forest.first[root], axis=1) for f in (np.maximum, np.minimum))
    some = (most > least).any(axis=0)  # with advantages of a log a group may have none and rewards that differ
    # Rewards are ordered as they are where they are not what the advantages were made of.
    equal = tolerance if rewards is None else ROUNDING * np.maximum(most, -least)[1]
    opens = (np.cumsum(forest.size) - forest.size)[root]  # of the members of each root among the visits
    for roots in _blocks(root[some], forest.size[root[some]], bins[some], permutations):
        groups, first, k = forest.group[roots], forest.first[roots], int(forest.size[roots[0]])
        # Views: what is added to the sums of a bin is added to the result.
        here = PermutedSums(*(column[bins[groups[0]]] for column in sums))
        rows = first[:, None] + np.arange(k)
        # (groups, k, permutations): good and bad completions move with their advantages, the tree stays.
        permuted = permuted_values(seeds[groups], classes, rows, permutations)
        zero = tolerance[groups]
        good, bad = permuted[0] > zero[:, None, None], permuted[0] < -zero[:, None, None]
        loss = seen.completion[forest.order[rows]].ravel().astype(np.float64)
        here.good_tokens[:] += loss @ good.reshape(-1, permutations)
        here.bad_tokens[:] += loss @ bad.reshape(-1, permutations)
        # Loss tokens that each completion has in the root, whose mean no permutation moves.
        shared = seen.tokens[opens[groups][:, None] + np.arange(k)]
        mean = beyond(zero, classes.rows[0][rows].mean(axis=1))
        order = pair_order(forest, seen, classes.of_row, roots, permuted[-1], equal[groups])
        here.pairs_right[:] += order.right.sum(axis=0)
        here.pairs[:] += order.counted.sum(axis=0)
        _add_roots(here, mean, shared, (good, bad))
        _add_steps(here, between, groups, first, permuted, (good, bad), zero, mean, bounds)
    return sums


def _blocks(roots: Ints, sizes: Ints, bins: Ints, permutations: int) -> Iterator[Ints]:
    """Roots of groups of one size and one bin, ascending, as many at a time as `BLOCK` allows."""
    order = np.lexsort((bins, sizes))
    kinds = np.stack([sizes, bins])[:, order]
    cuts = np.flatnonzero((np.diff(kinds, axis=1) != 0).any(axis=0)) + 1
    for same in np.split(order, cuts):
        block = max(1, BLOCK // (permutations * int(sizes[same[0]]))) if len(same) else 1
        for begin in range(0, len(same), block):
            yield roots[same[begin : begin + block]]


class _Between(NamedTuple):
    """The intermediate steps of a forest, and for each pair of one and a member the member's loss tokens in it.

    Attributes:
        step: Their index in the forest, ascending, shape (steps,); group, first and size are those of the forest.
        parent: Which of these steps is the parent, -1 where that is the root, shape (steps,).
        tokens: Loss tokens of all members, shape (steps,).
        informative: The same, 0 where the members are identical to the end, shape (steps,).
        each: Loss tokens of each pair, shape (pairs,).
        opens: The first pair of each step, shape (steps,).
        most: The most loss tokens that a member has in the step, shape (steps,).
        differ: True where members differ in that, because of their masks, shape (steps,).
    """

    step: Ints
    parent: Ints
    group: Ints
    first: Ints
    size: Ints
    tokens: Ints
    informative: Ints
    each: Ints
    opens: Ints
    most: Ints
    differ: NDArray[np.bool_]


def _between(forest: Forest, seen: Visits) -> _Between:
    step = np.flatnonzero(forest.intermediate)
    pair, opens = ranges((np.cumsum(forest.size) - forest.size)[step], forest.size[step])
    each = seen.tokens[pair]
    tokens, most, least = (f.reduceat(each, opens) if len(step) else step for f in (np.add, np.maximum, np.minimum))
    informative = tokens * ~identical(forest)[step]
    # The parent of an intermediate step has more members: it is intermediate as well, or the root.
    place = np.full(len(forest.size), -1)
    place[step] = np.arange(len(step))
    columns = (place[forest.parent[step]], forest.group[step], forest.first[step], forest.size[step])
    return _Between(step, *columns, tokens, informative, each, opens, most, most > least)


def _add_roots(sums: PermutedSums, mean: Floats, tokens: Ints, sign: tuple[NDArray, NDArray]) -> None:
    """Add the tokens of the roots, whose mean no permutation moves; only advantages as logged are not centred."""
    for to, chosen, far in (
        (sums.suppressed_good_tokens, sign[0], mean < 0),
        (sums.boosted_bad_tokens, sign[1], mean > 0),
    ):
        if far.any():
            to[:] += np.einsum("gk,gkp->p", tokens[far], chosen[far])


def _add_steps(
    sums: PermutedSums,
    between: _Between,
    groups: Ints,
    first: Ints,
    permuted: list[Floats],
    sign: tuple[NDArray, NDArray],
    zero: Floats,
    root: Floats,
    bounds: Bounds | None,
) -> None:
    """Add what the intermediate steps of groups of one size, which open at `first`, give to `sums`.

    `zero` and `root` are the tolerance and the mean of each group.
    """
    at, tree = _steps_in(between, groups)
    if not len(at):
        return
    begin, size = between.first[at] - first[tree], between.size[at]
    mean = _range_sums(permuted[0], tree, begin, size) / size[:, None]  # (steps, permutations)
    sums.informative_sum[:] += between.informative[at] @ np.abs(mean)

    zero = zero[tree][:, None]
    good, bad = (_tokens_of(chosen, between, at, tree, begin) for chosen in sign)
    sums.suppressed_good_tokens[:] += np.einsum("sp,sp->p", good, mean < -zero)
    sums.boosted_bad_tokens[:] += np.einsum("sp,sp->p", bad, mean > zero)

    # The steps of a group are among `at` with all that lie between them and the root.
    above = mean[np.searchsorted(at, between.parent[at])]
    above = np.where((between.parent[at] < 0)[:, None], root[tree][:, None], above)
    local = mean - above
    against = ((mean > zero) & (local < -zero)) | ((mean < -zero) & (local > zero))
    sums.inherited_tokens[:] += between.informative[at] @ against

    if bounds is not None:
        if len(permuted) == 2:
            mean = _range_sums(permuted[1], tree, begin, size) / size[:, None]
        far = np.abs(mean - permuted[-1].mean(axis=1)[tree])
        sums.certain_wilson[:] += between.tokens[at] @ (far > bounds.wilson[between.step[at]][:, None])
        sums.certain_student[:] += between.tokens[at] @ (far > bounds.student[between.step[at]][:, None])


def _steps_in(between: _Between, groups: Ints) -> tuple[Ints, Ints]:
    """Which intermediate steps lie in `groups` (ascending), and in which of them."""
    low, high = (np.searchsorted(between.group, groups, side) for side in ("left", "right"))
    some = high > low
    at, _ = ranges(low[some], (high - low)[some])
    return at, np.repeat(np.arange(len(groups)), high - low)


def _range_sums(values: NDArray, tree: Ints, begin: Ints, size: Ints) -> NDArray:
    """Sum of values[tree, begin : begin + size] for each step, shape (steps, permutations)."""
    trees, k, permutations = values.shape
    through = np.zeros((trees, k + 1, permutations), np.int32 if values.dtype == bool else np.float64)
    for j in range(k):  # over the members of a group: numpy accumulates across rows many times slower
        np.add(through[:, j], values[:, j], out=through[:, j + 1])
    through = through.reshape(-1, permutations)
    at = tree * (k + 1) + begin
    return through[at + size] - through[at]


def _tokens_of(chosen: NDArray, between: _Between, at: Ints, tree: Ints, begin: Ints) -> NDArray:
    """Loss tokens that the chosen members have in each step, shape (steps, permutations)."""
    tokens = _range_sums(chosen, tree, begin, between.size[at]) * between.most[at][:, None]
    for n in np.flatnonzero(between.differ[at]):  # members that differ in their masks: rare
        members = chosen[tree[n], begin[n] : begin[n] + between.size[at[n]]]
        opens = between.opens[at[n]]
        tokens[n] = between.each[opens : opens + len(members)] @ members
    return tokens
