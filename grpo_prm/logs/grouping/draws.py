"""A prompt that was drawn more than once in a step: its rows cut into the draws, each a group of its own.

A bucket is all rows of one run, step and key (or exact prompt). It is one group, or m draws of k rows each.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...core.group_size import modal_size
from .done import once

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
TOLERANCE = 1e-3  # of logged advantages against the rewards of their group, relative to the largest of them
# What speaks for a cut, and how the sentence about it ends.
EVIDENCE = {
    "agree": "the logged advantages fit each draw",
    "disagree": "but the logged advantages do not fit the draws, so the cut may be in the wrong place",
    "unchecked": "there are no logged advantages to check it by",
    "cycle": "the log goes through its prompts in one order again and again",
    "asked": "their rows are not neighbours, so the cut is only as good as the size that was given",
}


@dataclass
class GroupingState:
    """What grouping remembers from batch to batch.

    Attributes:
        sizes: By run, number of groups of each size so far; a bucket that only the modal size will cut counts whole.
        next_group: Number of the next group.
        taken: What was taken of `sizes` at each step: run, sizes of its groups, modal size, and whether that is clear;
            None: nobody wants to know.
        noted: Sentences with an example, by their kind, a key of `EVIDENCE` or another: each kind is said once.
    """

    sizes: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    next_group: int = 0
    taken: list[tuple[str, Counter[int], int, bool]] | None = None
    noted: dict[str, str] = field(default_factory=dict)


class Buckets(NamedTuple):
    """Buckets of one key or prompt, the rows of all of them end to end.

    Attributes:
        opens: First row of each bucket, shape (buckets,).
        size: Its rows, shape (buckets,).
        reward: Where logged, shape (rows,).
        advantage: Where logged and of use, shape (rows,).
        place: Place of each row in the log, step by step, shape (rows,).
        may_be_cut: False where the key is made anew for each draw.
        members: How many members a group has by a column of the log, 0 where none says, shape (buckets,).
    """

    opens: Ints
    size: Ints
    reward: Floats | None
    advantage: Floats | None
    place: Ints
    may_be_cut: bool = True
    members: Ints | None = None


class Cut(NamedTuple):
    """How buckets fall into draws.

    Attributes:
        draws: Draws in each bucket, shape (buckets,).
        strided: The draws take turns, row by row, instead of following one another, shape (buckets,).
        evidence: A key of `EVIDENCE` for each bucket that is cut, else "", shape (buckets,).
        modal: Modal group size where each bucket stands, shape (buckets,).
        merged: It may hold several draws or problems, but nothing says which rows are whose, shape (buckets,).
    """

    draws: Ints
    strided: NDArray[np.bool_]
    evidence: NDArray[np.object_]
    modal: Ints
    merged: NDArray[np.bool_]


def cut_into_draws(buckets: Buckets, steps: list[tuple[str, int]], given: int | None, state: GroupingState) -> Cut:
    """Find the buckets that hold several draws.

    Three kinds of evidence, the best first:

    - Advantages. They are logged, do not fit the bucket as one group, and fit equal shares of it.
    - Order. The log goes through the prompts of a step k times in one order, so k is the group size.
    - Size. The bucket has m times the modal size, and its rows stand in stretches of that size, or a multiple. It is
      left whole if its advantages fit the whole, or if they decide nothing and fewer than half of the groups have
      that size. Rows that are mixed with others are never cut by their order alone.

    Args:
        buckets: Buckets of whole steps.
        steps: Run and number of buckets of each step, in order.
        given: The group size, where the user gave it; then size alone decides.
        state: Sizes so far; those of these steps are added.

    Returns:
        The cut. The modal size of a step is that of all groups of its run so far, so it does not depend on batches.
    """
    cut = Cut(
        np.ones(len(buckets.size), np.int64),
        np.zeros(len(buckets.size), bool),
        np.full(len(buckets.size), "", object),
        np.zeros(len(buckets.size), np.int64),
        np.zeros(len(buckets.size), bool),
    )
    # Advantages: all buckets of one size at once, the fewest draws first. A bucket that is cut drops out of `at`.
    if buckets.advantage is not None and given is None:
        for size in np.unique(buckets.size[buckets.size > 3]).tolist():
            at = np.flatnonzero(buckets.size == size)
            at = at[~_advantages_fit(buckets, at, 1)]
            for draws in (d for d in range(2, size // 2 + 1) if size % d == 0):
                at = at[~_cut_where_it_fits(buckets, at, draws, cut)]
    begin = 0
    for run, number in steps:
        here = np.arange(begin, begin + number)
        if buckets.advantage is None and given is None:
            _cut_cycles(buckets, here, cut)
        # The sizes as they stand before the cut by size: else the modal size would confirm itself.
        known = np.repeat(buckets.size[here] // cut.draws[here], cut.draws[here])
        k, clear = usual_size(state, run, Counter(known.tolist()), given)
        cut.modal[here] = k
        if k > 1:
            _cut_by_size(buckets, here, k, clear, given is not None, cut)
        begin += number
    return cut


def usual_size(state: GroupingState, run: str, known: Counter[int], given: int | None) -> tuple[int, bool]:
    """The modal size at one more step of a run, and whether it is clear: given, or that of half of the groups.

    Args:
        state: Sizes so far; those of the step are added.
        run: Of the step.
        known: Number of its groups of each size.
        given: The group size, where the user gave it.
    """
    state.sizes[run].update(known)
    sizes = _sizes_so_far(state, run)
    k = given or modal_size(sizes)
    clear = given is not None or 2 * sizes[k] >= sum(groups for size, groups in sizes.items() if size > 1)
    if state.taken is not None:
        state.taken.append((run, known, k, clear))
    return k, clear


def draw_of_rows(buckets: Buckets, cut: Cut) -> Ints:
    """Draw of each row inside its bucket, shape (rows,)."""
    place = np.arange(buckets.size.sum()) - np.repeat(buckets.opens, buckets.size)
    draws, k = np.repeat(cut.draws, buckets.size), np.repeat(buckets.size // cut.draws, buckets.size)
    return np.where(np.repeat(cut.strided, buckets.size), place % draws, place // k)


def fits_as_one(reward: Floats | None, advantage: Floats) -> bool:
    """Do the logged advantages of rows fit them as one group? Both of shape (rows,)."""
    one = np.zeros(1, np.int64)
    rows = np.arange(len(advantage))
    return bool(_advantages_fit(Buckets(one, one + len(rows), reward, advantage, rows), one, 1)[0])


def split_notes(
    buckets: Buckets, cut: Cut, heads: pl.DataFrame, keys: pl.Series, state: GroupingState
) -> Iterator[str]:
    """One sentence for the first split of each kind."""
    for bucket in np.flatnonzero(cut.draws > 1).tolist():
        if (kind := cut.evidence[bucket]) in state.noted:
            continue
        size, draws = buckets.size[bucket], cut.draws[bucket]
        example = f"{_example(heads, keys, bucket)}: {size} rows as {draws} draws of {size // draws}"
        said = f"Prompts drawn more than once were split in file order ({example}); {EVIDENCE[kind]}."
        yield from once(state.noted, kind, said)
    if cut.merged.any():
        bucket = int(np.flatnonzero(cut.merged)[0])
        said = (
            f"One prompt has several times the rows of a group ({_example(heads, keys, bucket)}:"
            f" {buckets.size[bucket]} rows, where {cut.modal[bucket]} are usual), mixed with others: several problems"
            " or draws may have become one group. Name the column that tells them apart with --columns group=NAME, or"
            f" cut in file order with --group-size {cut.modal[bucket]}."
        )
        yield from once(state.noted, "merged", said)


def _example(heads: pl.DataFrame, keys: pl.Series, bucket: int) -> str:
    """Step and key of a bucket."""
    return f"step {heads['step'][bucket]}, {keys[bucket]}" if "step" in heads.columns else str(keys[bucket])


def _sizes_so_far(state: GroupingState, run: str) -> Counter[int]:
    """Number of groups of each size in a run so far; of all runs while this one has a single group."""
    own = state.sizes[run]
    several = sum(groups for size, groups in own.items() if size > 1)
    # The single group would be its own modal size, and two draws of one prompt would never be told apart.
    return own if several > 1 else sum(state.sizes.values(), Counter())


def _cut_cycles(buckets: Buckets, here: Ints, cut: Cut) -> None:
    """Cut the buckets of a step that goes through all of its prompts in one order, k times over.

    With k = 3 and p drawn twice: p q p, p q p, p q p. The smallest bucket is the prompt that comes once in every turn,
    and its size is k. If every prompt comes twice nothing tells p p q q, p p q q from groups of 4 in two halves.
    """
    size = buckets.size[here]
    k = int(size.min())  # turns, if there are any
    if not buckets.may_be_cut or k < 2 or (size == k).all() or (size % k).any():
        return
    place = buckets.place[buckets.opens[here[0]] :][: size.sum()]  # of the rows of the step
    order = np.repeat(here, size)[np.argsort(place)]
    turn = len(order) // k
    if (order[turn:] == order[:-turn]).all():  # every turn is like the one before
        several = here[size > k]
        cut.draws[several] = buckets.size[several] // k
        cut.strided[several] = True
        cut.evidence[several] = "cycle"


def _cut_by_size(buckets: Buckets, at: Ints, k: int, clear: bool, asked: bool, cut: Cut) -> None:
    """Cut those of the buckets `at` that are several times as large as a group, where advantages do not deny it.

    A group has k rows, or as many members as the log says. `clear` is whether k is the size beyond doubt: the user gave
    it, or half of the groups have it. `asked` is whether the user gave it.
    """
    said = np.zeros(len(at), np.int64) if buckets.members is None or asked else buckets.members[at]
    size, k_of = buckets.size[at], np.where(said > 1, said, k)
    several = (cut.evidence[at] == "") & (size > k_of) & (size % k_of == 0)
    for bucket, k, sure in zip(at[several], k_of[several].tolist(), (clear | (said > 1))[several], strict=True):
        one, draws = np.array([bucket]), int(buckets.size[bucket]) // k
        logged = buckets.advantage is not None
        # Advantages that fit draws of k settle it, and so do those that fit the whole. Else size decides.
        if logged and (_cut_where_it_fits(buckets, one, draws, cut)[0] or _advantages_fit(buckets, one, 1)[0]):
            continue
        neighbours = _in_stretches(buckets, bucket, k)
        if sure and (neighbours or asked):
            cut.draws[bucket] = draws
            cut.evidence[bucket] = "asked" if not neighbours else "disagree" if logged else "unchecked"
        cut.merged[bucket] = sure and not neighbours and not asked
        cut.modal[bucket] = k


def _in_stretches(buckets: Buckets, bucket: int, k: int) -> bool:
    """Do the rows of a bucket stand in the log as stretches of k neighbours, or of several times as many?"""
    place = buckets.place[buckets.opens[bucket] :][: buckets.size[bucket]]
    return not ((np.flatnonzero(np.diff(place) != 1) + 1) % k).any()


def _cut_where_it_fits(buckets: Buckets, at: Ints, draws: int, cut: Cut) -> NDArray[np.bool_]:
    """Cut the buckets `at`, of one size, into `draws` draws where advantages fit each; true where that was done."""
    blocks, turns = _advantages_fit(buckets, at, draws), _advantages_fit(buckets, at, draws, strided=True)
    fits = blocks | turns
    cut.draws[at[fits]] = draws
    cut.strided[at[fits]] = ~blocks[fits]
    cut.evidence[at[fits]] = "agree"
    return fits


def _advantages_fit(buckets: Buckets, at: Ints, draws: int, *, strided: bool = False) -> NDArray[np.bool_]:
    """Do the logged advantages of buckets of one size fit each of their draws?

    They do if in every draw a = c (r - mean(r)) for some c >= 0, whatever the trainer divides by. Without rewards only
    the mean can be checked: it must be 0.

    Returns:
        One flag per bucket, shape (at,).
    """
    if not len(at):
        return np.zeros(0, bool)
    size = int(buckets.size[at[0]])
    rows = buckets.opens[at][:, None] + np.arange(size)
    rows = rows.reshape(len(at), size // draws, draws).swapaxes(1, 2) if strided else rows.reshape(len(at), draws, -1)
    a = buckets.advantage[rows]  # ty: ignore[not-subscriptable] - shape (at, draws, k)
    limit = TOLERANCE * np.maximum(1, np.abs(a).max(axis=(1, 2)))[:, None]
    r = a if buckets.reward is None else buckets.reward[rows]
    off = r - r.mean(axis=-1, keepdims=True)
    square = (off * off).sum(axis=-1)
    # Least squares for c. Where all rewards are equal `off` is 0, and the advantages must be 0 as well.
    slope = np.maximum((a * off).sum(axis=-1), 0) / np.where(square > 0, square, 1)
    return (np.abs(a - slope[..., None] * off).max(axis=-1) <= limit).all(axis=1)
