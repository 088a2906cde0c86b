"""Leave-pair-out AUC of state sharing, and its null: do the states order completions that they have not seen?

The score of a completion of a pair is the mean of the last set on its path that has another member. As sets of states
are not nested, any number of them may hold nobody but the pair, and the path is walked back until one does not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .credit import ordered_values
from .forest import Floats, Forest, Ints, ranges
from .groups import Groups
from .pair_order import PairOrder, Pairs, by_size, ordered
from .permutations import PERMUTATIONS, Exchange
from .states import StateSets


class Paths(NamedTuple):
    """The sets that may score each completion.

    Attributes:
        forest: The process steps of the groups, which give the tree order.
        classes: Of copies, shape (completions,), in tree order.
        path: Intermediate sets of each completion from the last to the first, -1 behind them, shape (completions,
            longest), in tree order.
        first: First pair of each set.
        size: Members of each set.
        place: Of the member of each pair in the tree order of its group.
    """

    forest: Forest
    classes: Ints
    path: Ints
    first: Ints
    size: Ints
    place: Ints


def paths_of(groups: Groups, sets: StateSets, classes: Ints) -> Paths:
    """The paths of some groups.

    Args:
        groups: The groups.
        sets: Their sets.
        classes: `distinct` of their forest.
    """
    forest = groups.forest
    place = np.argsort(forest.order)[sets.row]
    # Sets of all or of one order nothing. The rest by completion, and there from the last token back.
    chosen = np.flatnonzero(sets.intermediate[sets.set])
    chosen = chosen[np.lexsort((-sets.last[chosen], place[chosen]))]
    count = np.bincount(place[chosen], minlength=len(forest.order))
    level = np.arange(len(chosen)) - np.repeat(np.cumsum(count) - count, count)
    path = np.full((len(forest.order), int(count.max(initial=0))), -1)
    path[place[chosen], level] = sets.set[chosen]
    opens = forest.first[forest.parent < 0]
    return Paths(
        forest, classes, path, np.cumsum(sets.size) - sets.size, sets.size, place - opens[groups.groups[sets.row]]
    )


def state_order(
    groups: Groups, sets: StateSets, seeds: NDArray[np.uint64], permutations: int = PERMUTATIONS
) -> tuple[PairOrder, Floats]:
    """Order the pairs of every group by the states that they passed, also with rewards permuted.

    Args:
        groups: With rewards or advantages, numbered from 0.
        sets: Their sets.
        seeds: `group_seed` of each group, shape (groups,): the permutations are those of the process sets.
        permutations: How many.

    Returns:
        Of each group, shape (groups,) each; and (right, counted) of all groups under each permutation, shape
        (2, permutations).
    """
    exchange = Exchange.of(
        groups.forest, groups.advantages, groups.tolerance, groups.rewards if groups.logged else None
    )
    paths = paths_of(groups, sets, exchange.classes.of_row)
    values, tolerance = ordered_values(groups)

    def observed(chosen: Ints, own: Floats) -> PairOrder:
        return _ordered(paths, chosen, own, tolerance[chosen])

    def arranged(chosen: Ints, own: list[Floats]) -> Floats:
        return np.stack(_ordered(paths, chosen, own[-1], exchange.equal[chosen]), axis=-1)

    together = np.zeros(groups.number, np.int64)
    null = exchange.sums(arranged, 2, seeds, together, permutations)
    return by_size(groups.forest, values, ~groups.zero, observed), null[:, 0]


def _ordered(paths: Paths, chosen: Ints, values: Floats, tolerance: Floats) -> PairOrder:
    """`pair_order.ordered` of groups of one size."""
    first = paths.forest.first[paths.forest.parent < 0][chosen]
    return ordered(lambda some: _pairs(paths, first[some], values.shape[1]), values, tolerance)


def _pairs(paths: Paths, first: Ints, k: int) -> Pairs:
    """All pairs of rows of groups of k that begin at `first` in tree order."""
    rows = first[:, None] + np.arange(k)
    # A copy of one of the pair has its path and reward: it would be no other completion that speaks for a set.
    own, path = paths.classes[rows], paths.path[rows]
    alike = own[:, :, None] == own[:, None, :]
    # Members of each set of these groups; the last row is for no set.
    known = np.unique(path[path >= 0])
    inside = np.zeros((len(known) + 1, k), bool)
    if len(known):
        at, _ = ranges(paths.first[known], paths.size[known])
        inside[np.repeat(np.arange(len(known)), paths.size[known]), paths.place[at]] = True
    # Numbers among these sets alone, so that `inside` is small; the last row, without members, stands for -1.
    path = np.where(path < 0, len(known), np.searchsorted(known, path))
    one, other = np.triu_indices(k, 1)
    others = ~(alike[:, one] | alike[:, other])
    weights, has = _score(path[:, one], inside, others)
    less, also = _score(path[:, other], inside, others)
    counts = (has | also) & ~alike[:, one, other]
    weights -= less  # times the rewards: how much more one side of the pair scores than the other
    weights[~counts] = 0.0
    return Pairs(one, other, counts, weights)


def _score(path: Ints, inside: NDArray[np.bool_], others: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """The score of one side of each pair.

    Args:
        path: Its sets from the last to the first, numbered as `inside`, shape (groups, pairs, longest).
        inside: Members of each set, shape (sets, k).
        others: The rows that copy neither of the pair, shape (groups, pairs, k).

    Returns:
        Weights of the rows of the group in the mean of the first set with a row of `others`, those alone, and of all
        of them where there is none, shape (groups, pairs, k); and whether there is one, shape (groups, pairs).
    """
    scored, has = others.copy(), np.zeros(others.shape[:2], bool)
    for level in range(path.shape[2]):
        members = inside[path[..., level]] & others
        found = ~has & members.any(axis=2)
        scored[found] = members[found]
        has |= found
        if has.all():
            break
    return scored / np.maximum(scored.sum(axis=2), 1)[:, :, None], has
