"""The forest: the process steps of many groups as flat arrays, one entry per step and none per token.

The completions of a group are put in tree order, so that the members of every process set are neighbours: a step is a
range of `order` and a span of token positions. A batch of trees grows from the roots, one tree level at a time for all
groups at once, and reads a token only while it has company, so the time follows the shared tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WINDOW = 64  # tokens compared at a time; grows fourfold while a whole step is not seen to end
# Tokens compared in one call, which bounds the temporary memory whatever k and the lengths are. Of four times as many
# the memory comes from the system anew for each call, which may take three times as long as the comparison.
BLOCK = 1 << 18


@dataclass(frozen=True)
class Forest:
    """The process steps of a batch of groups (definitions: Group, prefix, process set).

    Step n covers the token positions [`start[n]`, `end[n]`) of the completions `order[first[n] : first[n] + size[n]]`.
    Steps stand in tree order (group by group, parents before children), so the root of a group opens its steps.
    A root may be empty (`start == end == 0`); no other step is.

    Attributes:
        order: Completion rows in tree order, group by group, shape (completions,), int64.
        group: Group of each step, as given to `build_forest`, shape (steps,), int64.
        parent: Index of the parent step, -1 at a root, shape (steps,), int64.
        start: First token position of the step, shape (steps,), int64.
        end: One past its last token position, shape (steps,), int64.
        first: Where its members begin in `order`, shape (steps,), int64.
        size: Process-set size |λ|, shape (steps,), int64.

    Examples:
        >>> import grpo_prm
        >>> grpo_prm.build_forest([5, 6, 7, 5, 6, 8, 5, 9], [3, 3, 2], [0, 0, 0]).size.tolist()
        [3, 2, 1, 1, 1]
    """

    order: Ints
    group: Ints
    parent: Ints
    start: Ints
    end: Ints
    first: Ints
    size: Ints

    @property
    def length(self) -> Ints:
        """Token positions that each step covers, shape (steps,)."""
        return self.end - self.start

    @cached_property
    def k(self) -> Ints:
        """Number of completions in the group of each step, shape (steps,)."""
        root = self.parent < 0
        return self.size[root][np.cumsum(root) - 1]

    @cached_property
    def intermediate(self) -> NDArray[np.bool_]:
        """True where 1 < |λ| < k, shape (steps,)."""
        return (self.size > 1) & (self.size < self.k)

    @cached_property
    def places(self) -> tuple[Ints, Ints]:
        """Places in `order` of the members of every step, step after step, and where each begins."""
        return ranges(self.first, self.size)


def build_forest(tokens: ArrayLike, lengths: ArrayLike, groups: ArrayLike) -> Forest:
    """Build the tree B(G) of every group of a batch.

    Args:
        tokens: Token ids of all completions, one after the other, shape (tokens,); each in [0, 2**31).
        lengths: Tokens per completion, shape (completions,); zero is allowed.
        groups: Group of each completion, shape (completions,); the rows of a group need not be neighbours.

    Returns:
        The forest, groups in ascending order. No completions give a forest without steps.

    Raises:
        ValueError: `lengths` does not add up to the number of tokens, or differs in shape from `groups`.

    Examples:
        >>> import grpo_prm
        >>> grpo_prm.build_forest([5, 6, 7, 5, 6, 8, 5, 9], [3, 3, 2], [0, 0, 0]).parent.tolist()  # -1: the root
        [-1, 0, 1, 1, 0]
    """
    tokens, lengths, groups = np.ascontiguousarray(tokens), np.asarray(lengths, np.int64), np.asarray(groups, np.int64)
    if lengths.shape != groups.shape:
        raise ValueError(f"{len(lengths)} lengths, but {len(groups)} groups")
    if lengths.sum() != len(tokens):
        raise ValueError(f"lengths add up to {lengths.sum()}, but there are {len(tokens)} tokens")
    order = np.argsort(groups, kind="stable")
    first = np.flatnonzero(np.diff(groups[order], prepend=groups[order[:1]] - 1))
    offsets = np.cumsum(lengths) - lengths

    # Level by level for all trees at once: numpy pays per call, so few calls on many sets beat a walk down each tree.
    size = np.diff(first, append=len(order))
    sets, fresh = np.stack([first, size, np.zeros_like(first), np.full_like(first, -1)]), np.ones(len(first), bool)
    common, levels, steps = lengths[order], [np.empty((5, 0), np.int64)], 0
    while sets.shape[1]:
        alone = sets[1] == 1  # its step runs to its own end unread
        single = sets.compress(alone, axis=1)
        levels.append(np.concatenate([single, lengths[order[single[:1]]]]))
        steps += single.shape[1]
        if alone.all():
            break
        level = _Level(*sets.compress(~alone, axis=1))
        _compare(tokens, offsets, order, common, level, np.flatnonzero(fresh[~alone]))
        at, opens = ranges(level.first, level.size)
        end = np.minimum.reduceat(common[at], opens)
        levels.append(np.stack([*level, end]))
        sets, fresh = _children(tokens, offsets, lengths, order, common, level, at, end, steps)
        steps += len(end)
    return _in_tree_order(order, groups, np.concatenate(levels, axis=1))


class _Level(NamedTuple):
    """The process sets of one tree level that have two members or more.

    Attributes:
        first, size: Range of members in `order`.
        start: First token position.
        parent: The step above.
    """

    first: Ints
    size: Ints
    start: Ints
    parent: Ints


def _compare(tokens: NDArray, offsets: Ints, order: Ints, common: Ints, level: _Level, fresh: Ints) -> None:
    """Compare the members of some sets with the first of their set, up to where each parts from it.

    Equality is transitive, so k - 1 comparisons tell where a set parts, and also where each set that the first one
    stays in does: only sets that it has left are `fresh`. A token is compared once for each member that has company.

    Args:
        tokens: Of all completions.
        offsets: Where each completion begins in them.
        order: Completions in tree order, as far as it is known.
        common: Number of tokens that each place in `order` has in common with the first of its set; its own length of
            the first of a set. Here in fresh sets its own length of every member, and changed in place.
        level: The sets.
        fresh: Those to compare.
    """
    first, others = level.first[fresh], level.size[fresh] - 1
    other, _ = ranges(first + 1, others)
    one, two = np.repeat(offsets[order[first]], others), offsets[order[other]]
    seen, limit = np.repeat(level.start[fresh], others), np.minimum(common[other], np.repeat(common[first], others))
    pairs, window = np.flatnonzero(seen < limit), WINDOW
    while len(pairs):
        at = seen[pairs]
        equal = _alike(tokens, one[pairs] + at, two[pairs] + at, window)
        seen[pairs] = at = at + equal
        left = limit[pairs] - at
        on = (equal == window) & (left > 0)
        pairs = pairs[on]
        if len(pairs):  # no further than any of them goes
            window = min(4 * window, BLOCK, int(left[on].max()))
    common[other] = np.minimum(seen, limit)


def _alike(tokens: NDArray, one: Ints, other: Ints, window: int) -> Ints:
    """Number of equal tokens that follow positions `one` and `other`, at most `window`."""
    window = min(window, len(tokens))
    alike = np.empty(len(one), np.int64)
    # A strided view has the window at each position without copying the tokens: as one item, which is taken in one go.
    item = np.dtype((np.void, window * tokens.itemsize))
    view = np.ndarray(len(tokens) - window + 1, item, tokens, strides=tokens.strides)
    for begin in range(0, len(one), max(1, BLOCK // window)):
        rows = slice(begin, begin + max(1, BLOCK // window))
        a, b = one[rows], other[rows]
        taken = (view[np.minimum(at, len(view) - 1)].view(tokens.dtype) for at in (a, b))
        differ = np.not_equal(*taken).reshape(-1, window)
        for row in np.flatnonzero(np.maximum(a, b) >= len(view)):  # windows that would pass the last token
            left, right = tokens[a[row] : a[row] + window], tokens[b[row] : b[row] + window]
            both = min(len(left), len(right))
            differ[row] = True
            differ[row, :both] = left[:both] != right[:both]
        at = differ.argmax(axis=1)
        at[~differ.ravel()[at + np.arange(0, differ.size, window)]] = window
        alike[rows] = at
    return alike


def _children(
    tokens: NDArray,
    offsets: Ints,
    lengths: Ints,
    order: Ints,
    common: Ints,
    level: _Level,
    at: Ints,
    end: Ints,
    steps: int,
) -> tuple[Ints, NDArray[np.bool_]]:
    """Split every set by the token that follows it; members that end there leave. Sorts `order` and `common` in place.

    Returns:
        The sets, as columns of `_Level` with those of one member, and which of them their leader is new to.
    """
    parent = np.repeat(np.arange(len(end)), level.size)
    rows, depth = order[at], end[parent]
    goes_on = depth < lengths[rows]
    if goes_on.all():  # most often: nothing is chosen, which takes longer than the rest
        following = tokens[offsets[rows] + depth].astype(np.int64)
    else:
        following = np.full(len(rows), -1, np.int64)
        following[goes_on] = tokens[(offsets[rows] + depth)[goes_on]]
    by_token = np.argsort((parent << 32) + following, kind="stable")  # one key sorts twice as fast as two
    order[at] = rows = rows[by_token]
    agreed, following = common[at[by_token]], following[by_token]
    stays = agreed > depth  # depth and parent are those of neighbours of one set, and sorted already
    common[at] = np.where(stays, agreed, lengths[rows])
    opens = np.ones(len(at), bool)
    opens[1:] = (parent[1:] != parent[:-1]) | (following[1:] != following[:-1])
    opens = np.flatnonzero(opens)
    size = np.diff(opens, append=len(at))
    if not goes_on.all():
        kept = following[opens] >= 0
        opens, size = opens[kept], size[kept]
    above = parent[opens]
    return np.stack([at[opens], size, end[above], above + steps]), ~stays[opens]


def _in_tree_order(order: Ints, groups: Ints, steps: Ints) -> Forest:
    """Number the steps of all levels anew: parents before children, siblings by position in `order`."""
    first, size, start, parent, end = steps
    # By first member and then larger before smaller: a parent opens where its first child does, and is larger.
    to_new = np.argsort((first << 32) - size, kind="stable")  # levels are ascending stretches, which are merged
    new = np.empty_like(to_new)
    new[to_new] = np.arange(len(to_new))
    parent = np.append(new, -1)[parent][to_new]  # -1 stays -1
    first = first[to_new]
    return Forest(order, groups[order[first]], parent, start[to_new], end[to_new], first, size[to_new])


def ranges(first: Ints, size: Ints) -> tuple[Ints, Ints]:
    """Write ranges out: (`first[0]`, `first[0] + 1`, ...), ..., and where each begins. Sizes are positive."""
    opens = np.cumsum(size) - size
    return np.arange(size.sum()) + np.repeat(first - opens, size), opens


def add_up(at: Ints, values: NDArray, number: int) -> Floats:
    """Sum of the values at each of 0 to number - 1."""
    return np.asarray(np.bincount(at, values, number), np.float64)


def members(forest: Forest) -> tuple[Ints, Ints]:
    """Every pair of a step, ascending, and a completion row in its process set, shape (pairs,) each."""
    return np.repeat(np.arange(len(forest.size)), forest.size), forest.order[forest.places[0]]


def depths(forest: Forest) -> Ints:
    """Branchings above each step: 0 at a root, which may be empty and still branches, shape (steps,)."""
    # Of the steps before it in tree order those are above it that have not ended where it begins.
    over = np.cumsum(np.bincount(forest.first + forest.size))
    return np.arange(len(forest.first)) - over[forest.first]


def step_sums(forest: Forest, values: NDArray) -> NDArray:
    """Sum one value per completion over the members of every process set.

    Each set is summed on its own, so no digits are lost to the rest of the log and batching changes nothing.

    Args:
        forest: The process steps.
        values: Shape (completions,) or (completions, columns).

    Returns:
        Sums, shape (steps,) or (steps, columns), float64 (int64 for integers).
    """
    values = np.asarray(values)
    if not len(forest.size):
        return np.zeros((0, *values.shape[1:]), values.dtype)
    at, opens = forest.places
    return np.add.reduceat(values[forest.order[at]], opens, axis=0)


def completion_sums(forest: Forest, values: NDArray) -> NDArray:
    """Sum one value per step over the path of every completion, shape (completions,)."""
    steps, rows = members(forest)
    return np.bincount(rows, np.asarray(values)[steps], minlength=len(forest.order))


def expand(forest: Forest, values: NDArray) -> NDArray:
    """Spread one value per process step over the tokens of every completion.

    Args:
        forest: The process steps.
        values: Shape (steps,), any dtype.

    Returns:
        One value per token, completion after completion as given to `build_forest`, shape (tokens,), same dtype.

    Examples:
        >>> import grpo_prm
        >>> forest = grpo_prm.build_forest([5, 6, 7, 5, 6, 8, 5, 9], [3, 3, 2], [0, 0, 0])
        >>> grpo_prm.expand(forest, forest.size).tolist()
        [3, 2, 1, 3, 2, 1, 3, 1]
    """
    path = paths(forest)
    return np.repeat(np.asarray(values)[path], forest.length[path])


def paths(forest: Forest) -> Ints:
    """The steps on the path of each completion, from the root on, completion after completion, shape (pairs,)."""
    at, _ = ranges(forest.first, forest.size)
    steps = np.empty_like(forest.order)
    steps[forest.order] = np.bincount(at)
    opens = (np.cumsum(steps) - steps)[forest.order]
    path = np.empty_like(at)
    path[opens[at] + np.repeat(depths(forest), forest.size)] = np.repeat(np.arange(len(forest.size)), forest.size)
    return path


def completion_lengths(forest: Forest) -> Ints:
    """Tokens of each completion, shape (completions,)."""
    return completion_sums(forest, forest.length).astype(np.int64)


def unique_index(forest: Forest) -> Ints:
    """Which unique token of the trees each token of each completion is, shape (tokens,).

    The unique tokens of step n are numbered by position from `cumsum(forest.length)[n] - forest.length[n]` on.
    """
    opens = np.cumsum(forest.length) - forest.length
    length = completion_lengths(forest)
    position = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length)
    return expand(forest, opens - forest.start) + position


def shared_tokens(forest: Forest) -> tuple[Ints, Ints, Ints]:
    """Every token of every completion with |λ| > 1; costs time for these only.

    Returns:
        Index of the token in the flat token array, its `unique_index`, and its completion row, shape (shared,) each.
    """
    step, row = members(forest)
    several = forest.size[step] > 1
    step, row = step[several], row[several]
    step, row = step[forest.length[step] > 0], row[forest.length[step] > 0]
    length = completion_lengths(forest)
    opens, trees = np.cumsum(length) - length, np.cumsum(forest.length) - forest.length
    token, _ = ranges(opens[row] + forest.start[step], forest.length[step])
    unique, _ = ranges(trees[step], forest.length[step])
    return token, unique, np.repeat(row, forest.length[step])


class Visits(NamedTuple):
    """Loss tokens of a forest (definitions: Masks), one entry per pair of a step and a member of its process set.

    Attributes:
        step: Step of each pair, ascending, shape (pairs,).
        row: Completion of each pair, shape (pairs,).
        tokens: Tokens of the completion that lie in the step and in the loss, shape (pairs,).
        unique: Positions of each step at which any member is in the loss, shape (steps,).
        completion: Loss tokens of each completion, shape (completions,).
    """

    step: Ints
    row: Ints
    tokens: Ints
    unique: Ints
    completion: Ints


def visits(forest: Forest, mask: NDArray[np.bool_] | None = None) -> Visits:
    """Count the loss tokens of every completion in every step on its path.

    Args:
        forest: The process steps.
        mask: True where a token is in the loss, shape (tokens,); None: all are. Members of a set may differ in it.
    """
    step, row = members(forest)
    length = completion_lengths(forest)
    if mask is None:
        return Visits(step, row, forest.length[step], forest.length, length)
    # Loss tokens of any span as a difference of running counts, so no token is visited once for each step.
    before = np.concatenate([[0], np.cumsum(mask)])
    opens = np.cumsum(length) - length
    tokens = before[opens[row] + forest.end[step]] - before[opens[row] + forest.start[step]]
    in_loss = np.zeros(int(forest.length.sum()), np.int64)
    in_loss[unique_index(forest)[mask]] = 1
    through = np.concatenate([[0], np.cumsum(in_loss)])
    end = np.cumsum(forest.length)
    unique = through[end] - through[end - forest.length]
    return Visits(step, row, tokens, unique, before[opens + length] - before[opens])
