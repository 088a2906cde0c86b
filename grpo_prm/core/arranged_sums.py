"""What each arrangement of the values of a group gives: the sums of the permutation null (definitions: How sure)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .exchange import Classes
from .forest import Floats, Forest, Ints, Visits, ranges
from .overlap import identical
from .pair_order import pair_order
from .prm import beyond


class Bounds(NamedTuple):
    """How far a step reward must be from its group's mean to be certain, by either interval, shape (steps,) each."""

    wilson: Floats
    student: Floats


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


class Trees(NamedTuple):
    """What no permutation changes.

    Attributes:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        seen: `visits` of the forest.
        classes: With the values that are permuted: advantages, and rewards where these are no multiple of them.
        tolerance: Within which an advantage of each group is 0, shape (groups,).
        equal: Within which two of the last of the values are equal, shape (groups,).
        bounds: When a step is certain; None: nothing is.
        root: The root step of each group, shape (groups,).
        opens: Where the members of each root begin among the visits, shape (groups,).
        between: The intermediate steps.
    """

    forest: Forest
    seen: Visits
    classes: Classes
    tolerance: Floats
    equal: Floats
    bounds: Bounds | None
    root: Ints
    opens: Ints
    between: _Between

    @classmethod
    def of(
        cls, forest: Forest, seen: Visits, classes: Classes, tolerance: Floats, equal: Floats, bounds: Bounds | None
    ) -> Trees:
        """See the attributes."""
        root = np.flatnonzero(forest.parent < 0)
        opens = (np.cumsum(forest.size) - forest.size)[root]
        return cls(forest, seen, classes, tolerance, equal, bounds, root, opens, _between(forest, seen))

    def rows_of(self, groups: Ints) -> Ints:
        """The rows of groups of one size, in tree order, shape (groups, k)."""
        root = self.root[groups]
        return self.forest.first[root][:, None] + np.arange(self.forest.size[root[0]])


def arranged_sums(trees: Trees, groups: Ints, values: list[Floats]) -> Floats:
    """The sums of every arrangement of every group.

    Args:
        trees: What no permutation changes.
        groups: Groups of one size, shape (groups,).
        values: Advantages, or advantages and rewards, of their rows in tree order in each arrangement, shape
            (groups, k, arrangements) each: good and bad completions move with their advantages, the tree stays.

    Returns:
        Shape (groups, arrangements, sums), the sums in the order of `PermutedSums`.
    """
    sums = PermutedSums(*np.zeros((len(PermutedSums._fields), len(groups), values[0].shape[2])))
    rows, zero = trees.rows_of(groups), trees.tolerance[groups]
    good, bad = values[0] > zero[:, None, None], values[0] < -zero[:, None, None]
    loss = trees.seen.completion[trees.forest.order[rows]]
    sums.good_tokens[:], sums.bad_tokens[:] = _members_tokens(loss, good), _members_tokens(loss, bad)
    mean = beyond(zero, trees.classes.rows[0][rows].mean(axis=1))
    _add_roots(sums, trees, groups, mean, (good, bad))
    order = pair_order(
        trees.forest, trees.seen, trees.classes.of_row, trees.root[groups], values[-1], trees.equal[groups]
    )
    sums.pairs_right[:], sums.pairs[:] = order
    _add_steps(sums, trees, groups, values, (good, bad), mean)
    return np.stack(sums, axis=-1)


def _members_tokens(tokens: Ints, chosen: NDArray[np.bool_]) -> Floats:
    """Tokens of the chosen members of each group, shape (groups, arrangements)."""
    return np.matmul(tokens[:, None, :].astype(np.float64), chosen.astype(np.float64))[:, 0]


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
    tokens: Floats
    informative: Floats
    each: Ints
    opens: Ints
    most: Floats
    differ: NDArray[np.bool_]


def _between(forest: Forest, seen: Visits) -> _Between:
    step = np.flatnonzero(forest.intermediate)
    pair, opens = ranges((np.cumsum(forest.size) - forest.size)[step], forest.size[step])
    each = seen.tokens[pair]
    tokens, most, least = (f.reduceat(each, opens) if len(step) else step for f in (np.add, np.maximum, np.minimum))
    tokens, most = tokens.astype(np.float64), most.astype(np.float64)  # as the sums are that they are added to
    informative = tokens * ~identical(forest)[step]
    # The parent of an intermediate step has more members: it is intermediate as well, or the root.
    place = np.full(len(forest.size), -1)
    place[step] = np.arange(len(step))
    columns = (place[forest.parent[step]], forest.group[step], forest.first[step], forest.size[step])
    return _Between(step, *columns, tokens, informative, each, opens, most, most > least)


def _add_roots(
    sums: PermutedSums, trees: Trees, groups: Ints, mean: Floats, sign: tuple[NDArray[np.bool_], NDArray[np.bool_]]
) -> None:
    """Add the tokens of the roots, whose mean no permutation moves; only advantages as logged are not centred."""
    k = sign[0].shape[1]
    for to, chosen, far in (
        (sums.suppressed_good_tokens, sign[0], mean < 0),
        (sums.boosted_bad_tokens, sign[1], mean > 0),
    ):
        if far.any():
            to[far] += _members_tokens(trees.seen.tokens[trees.opens[groups[far], None] + np.arange(k)], chosen[far])


def _add_steps(
    sums: PermutedSums,
    trees: Trees,
    groups: Ints,
    values: list[Floats],
    sign: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    root: Floats,
) -> None:
    """Add what the intermediate steps give; `root` is the mean of each group."""
    between = trees.between
    low, high = (np.searchsorted(between.group, groups, side) for side in ("left", "right"))
    tree = np.repeat(np.arange(len(groups)), high - low)
    if not len(tree):
        return
    some = np.flatnonzero(high > low)
    at, opens = ranges(low[some], (high - low)[some])
    begin, size = between.first[at] - trees.forest.first[trees.root[groups]][tree], between.size[at]
    mean = _range_sums(values[0], tree, begin, size) / size[:, None]  # (steps, arrangements)
    zero, informative = trees.tolerance[groups][tree][:, None], between.informative[at][:, None]
    raised, lowered = mean > zero, mean < -zero
    good, bad = (_tokens_of(chosen, between, at, tree, begin) for chosen in sign)

    def add(to: Floats, of_steps: Floats) -> None:
        to[some] += np.add.reduceat(of_steps, opens, axis=0)

    add(sums.suppressed_good_tokens, good * lowered)
    add(sums.boosted_bad_tokens, bad * raised)
    add(sums.informative_sum, informative * np.abs(mean))
    # The steps of a group are among `at` with all that lie between them and the root.
    inside = between.parent[at] >= 0
    above = np.where(inside, between.parent[at] - at + np.arange(len(at)), 0)
    local = mean - np.where(inside[:, None], mean[above], root[tree][:, None])
    add(sums.inherited_tokens, informative * ((raised & (local < -zero)) | (lowered & (local > zero))))
    if trees.bounds is not None:
        if len(values) == 2:
            mean = _range_sums(values[1], tree, begin, size) / size[:, None]
        far = np.abs(mean - values[-1].mean(axis=1)[tree])
        step, tokens = between.step[at], between.tokens[at][:, None]
        add(sums.certain_wilson, tokens * (far > trees.bounds.wilson[step][:, None]))
        add(sums.certain_student, tokens * (far > trees.bounds.student[step][:, None]))


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
