"""What smaller groups would have shown: overlap expected of random subsets of each group (ours; see docs/numbers.md).

Of k completions draw m without replacement. Given one of them, the other m - 1 are any of the k - 1 others, so the size
of its process sets in the subset is hypergeometric and no subset need be drawn: the expectations are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Forest, Ints, Visits

ROUNDING = 1e-12


class Subsampled(NamedTuple):
    """Expected overlap, one entry per group and size, ordered by group and size.

    Attributes:
        group: Dense group, int64.
        size: Completions of a subset, int64.
        path_depth, intermediate_proportion, shared_proportion: Expectation of the group's mean (definitions: Overlap
            statistics), NaN where no completion has a loss token. At size k they are the group's own.
    """

    group: Ints
    size: Ints
    path_depth: Floats
    intermediate_proportion: Floats
    shared_proportion: Floats


def subset_sizes(k: int) -> list[int]:
    """Sizes of subsets of k completions: 2, 3, 4, 6, 8, 12, 16, ... below k, and k."""
    powers = 2 ** np.arange(1, max(k, 2).bit_length() + 1)
    return sorted({int(m) for m in (*powers, *(powers * 3 // 2)) if m < k} | {k})


def subsampled(forest: Forest, seen: Visits, groups: Ints, number: int) -> Subsampled:
    """Expected path depth and proportions of random subsets of every group.

    Exact where the members of a step agree which of its tokens are in the loss, or a completion is out of it as a
    whole, which has depth 0 and no proportion: the proportions are the mean over the others of their expectation.

    Args:
        forest: The process steps; its groups are dense.
        seen: `visits` of the forest.
        groups: Dense group of each completion, shape (completions,), in [0, number).
        number: How many groups there are.
    """
    some = seen.completion > 0
    share = np.where(some, 1 / np.maximum(seen.completion, 1), 0.0)[seen.row] * seen.tokens
    share = np.bincount(seen.step, share, len(forest.size))  # Σ over members of the part of their tokens in a step
    members = np.bincount(seen.step, some[seen.row], len(forest.size)) * (seen.unique > 0)
    above = _counted_above(forest, seen.unique > 0)
    with_loss, count = np.bincount(groups, some, number), np.bincount(groups, minlength=number)
    by_size = []
    for k in np.unique(count[count > 0]).tolist():  # groups of one size share their probabilities
        step = np.flatnonzero(forest.k == k)
        mine, size, before = forest.group[step], forest.size[step], above[step]
        below = np.where(before >= 0, forest.size[before], k)
        chosen = np.flatnonzero(count == k)
        for m in subset_sizes(k):
            # P(all m - 1 others of the subset lie among c given ones), c = 0 ... k - 1; for a member of a set of size n
            # the set is a single one if the others avoid its n - 1 companions, whole if they all are among them.
            inside = _all_others_within(k, m)
            alone, whole = inside[k - size], inside[size - 1]
            # A set counts once: not again where the set above it is the same in the subset, and intermediate too.
            again = np.where(before >= 0, inside[k - 1 - below + size] - inside[k - below] - whole, 0.0)
            # Expectations are sums over steps: of sets for the depth, of tokens for the proportions.
            sums = [
                np.bincount(mine, weight * value, number)[chosen]
                for weight, value in (
                    (members[step], 1 - alone - whole - again),
                    (share[step], 1 - alone - whole),
                    (share[step], 1 - alone),
                )
            ]
            over = np.stack([count[chosen], with_loss[chosen], with_loss[chosen]])
            means = np.divide(sums, over, out=np.full(over.shape, np.nan), where=over > 0)
            by_size.append((chosen, np.full(len(chosen), m), *means))
    group, size, *means = (np.concatenate(c) for c in zip(*by_size, strict=True)) if by_size else [np.zeros(0)] * 5
    order = np.lexsort((size, group))
    return Subsampled(
        group[order].astype(np.int64), size[order].astype(np.int64), *(_zeroed(mean[order]) for mean in means)
    )


def _zeroed(values: Floats) -> Floats:
    """Rounding made to what it is: two completions have no intermediate set, and nothing is less than none."""
    return np.where(np.abs(values) < ROUNDING, 0.0, values)


def _all_others_within(k: int, m: int) -> Floats:
    """Probability that the m - 1 others of a subset all lie among c given ones of the k - 1, for c = 0 ... k - 1."""
    c = np.arange(k - 1, 0, -1)
    falling = np.cumprod(np.maximum(c - m + 1, 0) / c)  # C(c - 1, m - 1) / C(c, m - 1) = (c - m + 1) / c
    return np.concatenate([[1.0], falling])[::-1]


def _counted_above(forest: Forest, counted: np.ndarray) -> Ints:
    """The nearest step above each that has a loss token, -1 where there is none."""
    above = forest.parent.copy()
    while len(skip := np.flatnonzero((above >= 0) & ~counted[above])):
        above[skip] = forest.parent[above[skip]]
    return above
