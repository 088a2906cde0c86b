"""Do completions that share more of their path have the same fate (definitions: How sure)?

The mean of a_i a_j over pairs that share more than so much, less its mean under the permutation null. That mean needs
no permutations: classes of one size are exchanged among themselves, so expected products are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .forest import Floats, Forest, Ints, Visits, ranges

SHARES = 20  # points 0, .05, ..., .95 of the path
BLOCK = 1 << 17  # pairs held at a time
ROUNDING = 1e-12  # of the largest product of a group, for each pair


class Curve(NamedTuple):
    """Sums over the pairs of each group that share more than each point, shape (groups, points) each.

    Attributes:
        sums: Σ a_i a_j.
        expected: Its mean under the permutation null.
        pairs: Number of pairs, int64. The curve is (Σ sums - Σ expected) / Σ pairs over groups.
    """

    sums: Floats
    expected: Floats
    pairs: Ints


class Decided(NamedTuple):
    """The curves over both axes, whose points are `share_points` and `token_points`."""

    share: Curve
    tokens: Curve


def share_points() -> Floats:
    """Shares of the loss tokens of the shorter completion: 0, .05, ..., .95."""
    return np.arange(SHARES) / SHARES


def token_points(longest: int) -> Ints:
    """Numbers of loss tokens: 0, and the powers of two up to `longest`."""
    return np.array([0, *(1 << n for n in range(int(longest).bit_length()))])


def decided(forest: Forest, seen: Visits, classes: Ints, advantages: Floats, kept: NDArray[np.bool_]) -> Decided:
    """Products of advantages of the pairs of each group, by how much of their path they share.

    What a pair shares are the loss tokens of the shorter completion (the one with fewer; of two as short the smaller
    number) inside the common prefix. Copies, and completions without loss tokens, are in no pair.

    Args:
        forest: The process steps; its groups are dense, 0 to groups - 1.
        seen: `visits` of the forest.
        classes: `distinct` of the forest.
        advantages: a, shape (completions,).
        kept: Groups to take, shape (groups,): False for those of zero variance, which have no pairs.

    Returns:
        Sums of all groups; `tokens` at `token_points` of the most loss tokens of a completion.
    """
    root = np.flatnonzero(forest.parent < 0)
    points = token_points(seen.completion.max(initial=0))
    curves = Decided(*(_zeros(len(root), number) for number in (SHARES, len(points))))
    rows = _rows(forest, seen, classes, advantages)
    for k in np.unique(forest.size[root[kept]]).tolist():
        of_size = np.flatnonzero(kept & (forest.size[root] == k))
        block = max(1, BLOCK // (k * k))
        for begin in range(0, len(of_size), block):
            groups = of_size[begin : begin + block]
            pairs = _pairs(forest, rows, forest.first[root[groups]], k)
            # At how many points, which ascend, a pair shares more; in whole numbers, so that no share is rounded.
            places = -(-SHARES * pairs.shared // pairs.shorter), points.searchsorted(pairs.shared)
            for curve, place in zip(curves, places, strict=True):
                _add(curve, groups, pairs, place)
    largest = np.maximum.reduceat(np.abs(rows.advantage), forest.first[root]) if len(root) else np.zeros(0)
    for curve in curves:
        # Where all pairs share more, no permutation moves the sum: what is left of the difference is rounding.
        same = np.abs(curve.sums - curve.expected) <= ROUNDING * curve.pairs * largest[:, None] ** 2
        curve.expected[same] = curve.sums[same]
    return curves


def _zeros(groups: int, points: int) -> Curve:
    return Curve(*np.zeros((2, groups, points)), np.zeros((groups, points), np.int64))


def _add(curve: Curve, groups: Ints, pairs: _Pairs, place: Ints) -> None:
    """Add to the curve of each group the pairs that share more than each of its points; `place` counts these."""
    points = curve.pairs.shape[1]
    at = pairs.group * (points + 1) + place
    for to, values in zip(curve, (pairs.product, pairs.expected, None), strict=True):
        by_place = np.bincount(at, values, len(groups) * (points + 1)).reshape(len(groups), points + 1)
        to[groups] = by_place[:, :0:-1].cumsum(axis=1)[:, ::-1]


class _Rows(NamedTuple):
    """One entry per row of `forest.order`, shape (completions,) each.

    Attributes:
        classes: Which rows are copies.
        copies: Size of the class.
        loss: Loss tokens.
        advantage: a.
        mean: Mean of a under the null: that of the classes of its size, and the row's difference to its own class.
        together: What the null adds to the product of two means of rows in different classes of this size.
        parted: Last step that a row shares with the next row of its group; of the last one without meaning.
        visit: Where the visits of a step open, shape (steps,).
        through: Loss tokens from the root through each visit, shape (visits,).
    """

    classes: Ints
    copies: Ints
    loss: Ints
    advantage: Floats
    mean: Floats
    together: Floats
    parted: Ints
    visit: Ints
    through: Ints


def _rows(forest: Forest, seen: Visits, classes: Ints, advantages: Floats) -> _Rows:
    a = advantages[forest.order]
    opens = np.flatnonzero(np.diff(classes, prepend=-1))
    copies = np.diff(opens, append=len(classes))
    of_class = np.add.reduceat(a, opens) / copies if len(opens) else a
    mean, together = _exchanged(_group_of_rows(forest)[opens], copies, of_class)
    return _Rows(
        classes,
        copies[classes],
        seen.completion[forest.order],
        a,
        a - (of_class - mean)[classes],
        together[classes],
        _parted(forest),
        np.cumsum(forest.size) - forest.size,
        _through(forest, seen),
    )


def _group_of_rows(forest: Forest) -> Ints:
    root = np.flatnonzero(forest.parent < 0)
    return np.repeat(np.arange(len(root)), forest.size[root])


def _exchanged(group: Ints, copies: Ints, values: Floats) -> tuple[Floats, Floats]:
    """Mean and covariance of the values of two classes, once those of one size are permuted in their group.

    Of m values without replacement the covariance is -(mean square deviation) / (m - 1); of one there is none.

    Args:
        group: Of each class, shape (classes,).
        copies: Its size, shape (classes,).
        values: Shape (classes,).

    Returns:
        Of the size of each class, shape (classes,) each.
    """
    _, kind = np.unique(np.stack([group, copies]), axis=1, return_inverse=True)
    kind = kind.reshape(-1)
    number = np.bincount(kind)
    mean = np.bincount(kind, values) / number
    deviation = np.bincount(kind, (values - mean[kind]) ** 2) / number
    return mean[kind], (-deviation / np.maximum(number - 1, 1))[kind]


def _parted(forest: Forest) -> Ints:
    """The last step that each row of `forest.order` shares with the next one; -1 where they are of two groups."""
    several = np.flatnonzero(forest.size > 1)
    at, _ = ranges(forest.first[several], forest.size[several] - 1)
    parted = np.full(len(forest.order), -1)
    np.maximum.at(parted, at, np.repeat(several, forest.size[several] - 1))  # steps ascend from parent to child
    return parted


def _through(forest: Forest, seen: Visits) -> Ints:
    """Loss tokens of a row from the root through each step on its path, in the order of the visits."""
    place, _ = forest.places
    path = np.argsort(place, kind="stable")  # row by row, from the root on
    total = np.cumsum(seen.tokens[path])
    opens = np.flatnonzero(np.diff(place[path], prepend=-1))
    before = np.repeat(total[opens] - seen.tokens[path][opens], np.diff(opens, append=len(path)))
    through = np.empty_like(total)
    through[path] = total - before
    return through


class _Pairs(NamedTuple):
    """Pairs of rows, shape (pairs,) each: number of their group, tokens, a_i a_j and its expectation."""

    group: Ints
    shared: Ints
    shorter: Ints
    product: Floats
    expected: Floats


def _pairs(forest: Forest, rows: _Rows, first: Ints, k: int) -> _Pairs:
    """The pairs of groups of k, whose rows open at `first`, that are no copies and have loss tokens."""
    one, other = np.triu_indices(k, 1)
    group = np.repeat(np.arange(len(first)), len(one))
    i, j = ((first[:, None] + place).ravel() for place in (one, other))
    step = _common_steps(rows.parted[first[:, None] + np.arange(k)])[:, one, other].ravel()
    shorter = np.minimum(rows.loss[i], rows.loss[j])
    some = (rows.classes[i] != rows.classes[j]) & (shorter > 0)
    group, i, j, step, shorter = (column[some] for column in (group, i, j, step, shorter))
    visit = rows.visit[step] - forest.first[step]
    of_one, of_other = rows.through[visit + i], rows.through[visit + j]
    # Masks of members may differ, and with them the loss tokens of one common prefix.
    equal = rows.loss[i] == rows.loss[j]
    shared = np.where(rows.loss[i] < rows.loss[j], of_one, of_other)
    shared[equal] = np.minimum(of_one, of_other)[equal]
    expected = rows.mean[i] * rows.mean[j] + np.where(rows.copies[i] == rows.copies[j], rows.together[i], 0.0)
    return _Pairs(group, shared, shorter, rows.advantage[i] * rows.advantage[j], expected)


def _common_steps(parted: Ints) -> Ints:
    """The last step that row i shares with each j > i, at [:, i, j], shape (groups, k, k).

    A step that a range of rows shares is shared by its neighbours, and of those the first in tree order is the last of
    all: so it is a running minimum.
    """
    groups, k = parted.shape
    common = np.empty((groups, k, k), np.int64)
    for i in range(k - 1):
        common[:, i, i + 1 :] = np.minimum.accumulate(parted[:, i:-1], axis=1)
    return common
