"""A prompt that was drawn more than once in a step: its rows cut into the draws, each a group of its own."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ...core.group_size import modal_size

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
TOLERANCE = 1e-3  # of logged advantages against the rewards of their group, relative to the largest of them
ENDS = {
    "agree": "the logged advantages fit each draw",
    "disagree": "but the logged advantages do not fit the draws, so the cut may be in the wrong place",
    "unchecked": "there are no logged advantages to check it by",
    "cycle": "the log goes through its prompts in one order again and again",
}


@dataclass
class Memory:
    """What grouping remembers from batch to batch.

    Attributes:
        sizes: Sizes of the groups of each run so far, as far as they are known before the modal size splits them.
        next_group: Number of the next group.
        said: Kinds of split that a note told of.
    """

    sizes: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    next_group: int = 0
    said: set[str] = field(default_factory=set)


class Buckets(NamedTuple):
    """Buckets of one key or prompt, the rows of all of them end to end.

    Attributes:
        opens: First row of each bucket, shape (buckets,).
        size: Its rows, shape (buckets,).
        reward: Where logged, shape (rows,).
        advantage: Where logged and of use, shape (rows,).
        logged: Bucket of each row in the order of the log, step by step, shape (rows,); None if no bucket may be cut.
    """

    opens: Ints
    size: Ints
    reward: Floats | None
    advantage: Floats | None
    logged: Ints | None


class Cut(NamedTuple):
    """How buckets fall into draws.

    Attributes:
        draws: Draws in each bucket, shape (buckets,).
        strided: The draws take turns instead of following one another, shape (buckets,).
        how: A key of `ENDS` for each bucket that is cut, else "", shape (buckets,).
        modal: Modal group size where each bucket stands, shape (buckets,).
    """

    draws: Ints
    strided: NDArray[np.bool_]
    how: NDArray[np.object_]
    modal: Ints


def cut_into_draws(buckets: Buckets, steps: list[tuple[str, int]], given: int | None, memory: Memory) -> Cut:
    """Find the buckets that hold several draws.

    First by the logged advantages: where those of a bucket do not fit one group but fit equal parts of it, these are
    the draws. Then by the order of the log: where it goes through the prompts of a step k times in one order, k is the
    size. Then by size: a bucket of m times the modal size, unless its advantages fit the whole and not the parts,
    or fewer than half of the groups are of that size and nothing is logged to check it by.

    Args:
        buckets: Buckets of whole steps.
        steps: Run and number of buckets of each step, in order.
        given: The group size, where the user gave it.
        memory: Sizes seen so far, this call's added.

    Returns:
        The cut. The modal size of a step is that of all groups of its run so far, so it does not depend on batches.
    """
    cut = Cut(
        np.ones(len(buckets.size), np.int64),
        np.zeros(len(buckets.size), bool),
        np.full(len(buckets.size), "", object),
        np.zeros(len(buckets.size), np.int64),
    )
    if buckets.advantage is not None and given is None:
        for size in np.unique(buckets.size[buckets.size > 3]).tolist():
            at = np.flatnonzero(buckets.size == size)
            at = at[~_fit(buckets, at, 1)]
            for draws in (d for d in range(2, size // 2 + 1) if size % d == 0):
                at = at[~_cut_where_it_fits(buckets, at, draws, cut)]
    begin = 0
    for run, number in steps:
        here = np.arange(begin, begin + number)
        if buckets.advantage is None and given is None:
            _cut_cycles(buckets, here, cut)
        known = np.repeat(buckets.size[here] // cut.draws[here], cut.draws[here])
        memory.sizes[run].update(known.tolist())
        seen = _seen(memory, run)
        cut.modal[here] = k = given or modal_size(seen)
        if k > 1:
            several = here[(cut.how[here] == "") & (buckets.size[here] > k) & (buckets.size[here] % k == 0)]
            clear = given is not None or 2 * seen[k] >= sum(n for size, n in seen.items() if size > 1)
            _cut_by_size(buckets, several, k, clear, cut)
        begin += number
    return cut


def draw_of_rows(buckets: Buckets, cut: Cut) -> Ints:
    """Draw of each row inside its bucket, shape (rows,)."""
    place = np.arange(buckets.size.sum()) - np.repeat(buckets.opens, buckets.size)
    draws, k = np.repeat(cut.draws, buckets.size), np.repeat(buckets.size // cut.draws, buckets.size)
    return np.where(np.repeat(cut.strided, buckets.size), place % draws, place // k)


def notes(buckets: Buckets, cut: Cut, heads: pl.DataFrame, keys: pl.Series, memory: Memory) -> Iterator[str]:
    """One sentence for the first split of each kind."""
    for bucket in np.flatnonzero(cut.draws > 1).tolist():
        if (how := cut.how[bucket]) in memory.said:
            continue
        memory.said.add(how)
        step = f"step {heads['step'][bucket]}, " if "step" in heads.columns else ""
        size, draws = buckets.size[bucket], cut.draws[bucket]
        example = f"{step}{keys[bucket]}: {size} rows as {draws} draws of {size // draws}"
        yield f"Prompts drawn more than once were split in file order ({example}); {ENDS[how]}."


def _seen(memory: Memory, run: str) -> Counter[int]:
    """Sizes of a run so far; a run of one group says little, so it goes by the other runs too."""
    seen = memory.sizes[run]
    several = sum(n for size, n in seen.items() if size > 1)
    return seen if several > 1 else sum(memory.sizes.values(), Counter())


def _cut_cycles(buckets: Buckets, here: Ints, cut: Cut) -> None:
    """Cut the buckets of a step that was written prompt by prompt, and all of that k times over.

    A prompt that comes once in every turn tells; without one, blocks of neighbours look the same.
    """
    size = buckets.size[here]
    k = int(size.min())
    if buckets.logged is None or k < 2 or (size == k).all() or (size % k).any():
        return
    order = buckets.logged[buckets.opens[here[0]] :][: size.sum()]
    turn = len(order) // k
    if (order[turn:] == order[:-turn]).all():
        several = here[size > k]
        cut.draws[several] = buckets.size[several] // k
        cut.strided[several] = True
        cut.how[several] = "cycle"


def _cut_by_size(buckets: Buckets, at: Ints, k: int, clear: bool, cut: Cut) -> None:
    for bucket in at:
        one, draws = np.array([bucket]), int(buckets.size[bucket]) // k
        logged = buckets.advantage is not None
        if logged and (_cut_where_it_fits(buckets, one, draws, cut)[0] or _fit(buckets, one, 1)[0]):
            continue
        if clear:
            cut.draws[bucket] = draws
            cut.how[bucket] = "disagree" if logged else "unchecked"


def _cut_where_it_fits(buckets: Buckets, at: Ints, draws: int, cut: Cut) -> NDArray[np.bool_]:
    """Cut the buckets `at` into `draws` draws where advantages fit each; say which."""
    blocks, turns = _fit(buckets, at, draws), _fit(buckets, at, draws, strided=True)
    fits = blocks | turns
    cut.draws[at[fits]] = draws
    cut.strided[at[fits]] = ~blocks[fits]
    cut.how[at[fits]] = "agree"
    return fits


def _fit(buckets: Buckets, at: Ints, draws: int, *, strided: bool = False) -> NDArray[np.bool_]:
    """Do the advantages of buckets of one size fit each of their draws: a = c (r - mean(r)) with c >= 0?"""
    if not len(at):
        return np.zeros(0, bool)
    size = int(buckets.size[at[0]])
    rows = buckets.opens[at][:, None] + np.arange(size)
    rows = rows.reshape(len(at), size // draws, draws).swapaxes(1, 2) if strided else rows.reshape(len(at), draws, -1)
    a = buckets.advantage[rows]  # ty: ignore[not-subscriptable]
    limit = TOLERANCE * np.maximum(1, np.abs(a).max(axis=(1, 2)))[:, None]
    r = a if buckets.reward is None else buckets.reward[rows]
    off = r - r.mean(axis=-1, keepdims=True)
    square = (off * off).sum(axis=-1)
    slope = np.maximum((a * off).sum(axis=-1), 0) / np.where(square > 0, square, 1)
    return (np.abs(a - slope[..., None] * off).max(axis=-1) <= limit).all(axis=1)
