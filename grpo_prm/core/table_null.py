"""The null distribution of a table of children against rewards: of all with its margins, how many are as extreme?

Both statistics add up over children, so the tables with given margins are counted child by child: what is left of each
reward, how extreme it is so far, and the probability of all ways to get there, which merge where the first two agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .forest import Floats, Ints
from .seeds import group_seed

WAYS = {True: 1 << 18, False: 1 << 15}  # partial tables at a time, of two rewards and of more; beyond, p is drawn
AS_EXTREME = 1e-7  # relative tolerance of probabilities, so absolute in the logarithm; gaps of the other are larger
MERGE = 1e8  # statistics that agree after this many steps a unit are one
DRAWS = 9_999
FIRST_DRAWS = 999
LEAST_DRAWN = 1 / (1 + DRAWS)
ENOUGH = 50  # draws as extreme as the observed table after which p is known well enough


class Null(NamedTuple):
    """Distribution of a statistic: its values, ascending, and the probability of each or a larger one."""

    statistic: Floats
    tail: Floats


def log_factorials(largest: int) -> Floats:
    """Logarithms of x! for x from 0 to `largest`."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, largest + 1)))])


def kruskal_scores(before: Ints, count: Ints, texts: Ints) -> Ints:
    """Twice the mid-rank of each reward, less the mean: `before` texts rank lower, `count` have it, of `texts`."""
    return 2 * before + count - texts


def _extremes(cells: Ints, levels: Sequence[int]) -> Floats:
    """What children add to the statistic, by their counts of each reward, shape (..., children, levels)."""
    if len(levels) == 2:  # of tables with given margins the less probable has the larger Σ ln x!
        return log_factorials(int(cells.max(initial=0)))[cells].sum(axis=-1)
    count = np.array(levels)
    score = kruskal_scores(np.cumsum(count) - count, count, count.sum())
    return (cells @ score) ** 2 / cells.sum(axis=-1)


def exact_null(sizes: tuple[int, ...], levels: tuple[int, ...]) -> Null | None:
    """The distribution of the statistic over all arrangements of texts to children.

    Args:
        sizes: Texts of each child, ascending.
        levels: Texts of each reward, in ascending order of rewards. Two: the statistic is Σ ln x! over the cells of the
            table (Fisher, Freeman and Halton); else Σ S² / n over children, S the sum of `kruskal_scores`.

    Returns:
        The distribution; None where too many partial tables stand side by side.
    """
    left, extreme, probability = np.array([levels], np.int64), np.zeros(1), np.ones(1)
    logs = log_factorials(sum(levels))
    for n in sizes[:-1]:  # the last child, the largest, gets what is left
        if len(left) * _number_of_columns(levels, n) > WAYS[len(levels) == 2]:
            return None
        columns = _columns(levels, n)
        state, column = (at.ravel() for at in np.indices((len(left), len(columns))))
        fits = (columns[column] <= left[state]).all(axis=1)
        state, column = state[fits], column[fits]
        before, taken = left[state], columns[column]
        ways = (logs[before] - logs[taken] - logs[before - taken]).sum(axis=1)
        total = int(left[0].sum())
        ways -= logs[total] - logs[n] - logs[total - n]
        left, extreme, probability = _merged(
            before - taken, extreme[state] + _extremes(columns, levels)[column], probability[state] * np.exp(ways)
        )
    extreme = extreme + _extremes(left, levels)
    order = np.argsort(extreme)
    return Null(extreme[order], np.cumsum(probability[order][::-1])[::-1])


def _number_of_columns(levels: Sequence[int], n: int) -> float:
    """How many `_columns` there are."""
    number = np.array([1.0])
    for most in levels:
        number = np.convolve(number, np.ones(most + 1))[: n + 1]
    return float(number[n])


def _columns(levels: Sequence[int], n: int) -> Ints:
    """All ways to take n texts, as counts of each reward, at most `levels`; shape (ways, levels)."""
    columns, room = np.zeros((1, 0), np.int64), sum(levels)
    for most in levels:
        room -= most
        row, count = (at.ravel() for at in np.indices((len(columns), most + 1)))
        missing = n - columns.sum(axis=1)[row] - count
        fits = (missing >= 0) & (missing <= room)
        columns = np.column_stack([columns[row[fits]], count[fits]])
    return columns


def _merged(left: Ints, extreme: Floats, probability: Floats) -> tuple[Ints, Floats, Floats]:
    """Add up the probabilities of partial tables that leave the same and are equally extreme."""
    # Four counts make one integer of 64 bits, which sorts faster than four.
    wide = np.zeros((len(left), -(-left.shape[1] // 4) * 4), np.uint16)
    wide[:, : left.shape[1]] = left
    keys = np.column_stack([wide.view(np.uint64), np.rint(extreme * MERGE).astype(np.uint64)])
    order = np.lexsort(keys.T)
    fresh = np.ones(len(order), bool)
    fresh[1:] = (keys[order][1:] != keys[order][:-1]).any(axis=1)
    opens = np.flatnonzero(fresh)
    return left[order[opens]], extreme[order[opens]], np.add.reduceat(probability[order], opens)


def tail_of(null: Null, observed: Floats) -> Floats:
    """Probability of a table at least as extreme as each observed one, to rounding; shape of `observed`."""
    at = np.searchsorted(null.statistic, observed - AS_EXTREME)
    return np.minimum(null.tail[np.minimum(at, len(null.tail) - 1)], 1.0)


def p_by_drawing(sizes: tuple[int, ...], levels: tuple[int, ...], observed: Floats, seed: int) -> Floats:
    """The p of tables of the same margins from random arrangements, the same for all of them; shape of `observed`.

    Draws are read up to the `ENOUGH`-th that is as extreme, the l-th of all: p = `ENOUGH` / l (Besag and Clifford 1991:
    that is a valid p). Where they are fewer among `DRAWS`: (1 + those that are) / (1 + `DRAWS`).

    Args:
        sizes: Texts of each child.
        levels: Texts of each reward, in ascending order of rewards.
        observed: The statistic of each table, shape (tables,).
        seed: Of the draws, together with the margins.
    """
    drawn, p = _drawn(sizes, levels, seed, FIRST_DRAWS), np.empty(len(observed))
    for n, value in enumerate(observed):
        reached = np.flatnonzero(drawn >= value - AS_EXTREME)
        if len(reached) < ENOUGH and len(drawn) < DRAWS:  # most tables need few draws
            drawn = np.append(drawn, _drawn(sizes, levels, seed, DRAWS - FIRST_DRAWS))
            reached = np.flatnonzero(drawn >= value - AS_EXTREME)
        p[n] = ENOUGH / (1 + reached[ENOUGH - 1]) if len(reached) >= ENOUGH else (1 + len(reached)) / (1 + DRAWS)
    return p


@lru_cache(maxsize=256)
def _drawn(sizes: tuple[int, ...], levels: tuple[int, ...], seed: int, draws: int) -> Floats:
    """The statistic of random arrangements of the texts; shape (draws,)."""
    rng = np.random.default_rng(group_seed(seed, "decision", sizes, levels, draws))
    count, n = np.array(levels), np.array(sizes)
    label = rng.permuted(np.tile(np.repeat(np.arange(len(levels)), levels), (draws, 1)), axis=1)
    opens = np.cumsum(n) - n
    if len(levels) == 2:
        high = np.add.reduceat(label, opens, axis=1)
        return _extremes(np.stack([n - high, high], axis=-1), levels).sum(axis=1)
    score = kruskal_scores(np.cumsum(count) - count, count, count.sum())
    return (np.add.reduceat(score[label], opens, axis=1) ** 2 / n).sum(axis=1)
