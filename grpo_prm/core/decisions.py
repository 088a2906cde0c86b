"""Decisions: is the branch taken at a fork related to the reward? (definitions: Local advantage).

Every distinct text counts once, so that a text sampled often is no evidence by itself. The table of a decision is
children against rewards. Its p is exact where the arrangements of its margins can be counted; the same margins come
again and again in a log, so their null distribution is made once and kept.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .distinct import last_steps
from .forest import Floats, Ints, add_up, ranges
from .groups import Groups
from .prm import Bools
from .table_null import LEAST_DRAWN, exact_null, kruskal_scores, log_factorials, p_by_drawing, tail_of

ALPHA = 0.05
EQUAL = 1e-9  # means of copies closer than this (relative to 1 and to their size) are one reward
ROUNDING = 1 + 1e-9  # a p of 1/20 is at most .05, though not to the last bit


class Decisions(NamedTuple):
    """The decisions of some groups, shape (decisions,) each.

    Attributes:
        step: Index of the process step whose members decide, ascending, int64.
        p: How often a table with the same margins is as extreme, in (0, 1].
        least: The least p that these margins can give, in (0, 1].
    """

    step: Ints
    p: Floats
    least: Floats


class _Tables(NamedTuple):
    """The tables of all decisions, each written out as its cells, margins as ragged rows (value, and owner ascending).

    Attributes:
        step: Process step of each decision.
        sizes, size_of: Distinct texts of each child, and its decision.
        levels, level_of: Distinct texts of each reward, in ascending order of rewards, and its decision.
        statistic: How extreme each decision is: Σ ln x! of its cells for two rewards, else that of Kruskal and Wallis.
    """

    step: Ints
    sizes: Ints
    size_of: Ints
    levels: Ints
    level_of: Ints
    statistic: Floats


def decisions(groups: Groups, seed: int = 0) -> Decisions:
    """Test every decision of every group (definitions: Local advantage).

    A decision is a process set with two or more children; completions that end there count as one child together.
    Zero-variance groups have none. Two distinct rewards among its texts: the exact test of Fisher, Freeman and Halton.
    More: the permutation p of the Kruskal-Wallis statistic. Both are exact by enumeration where the arrangements are
    few enough (`table_null.exact_null`), else drawn (`table_null.p_by_drawing`: at most 9,999 draws, so `least` is
    1e-4; where one in 500 of the decisions that could be sure is as strong as that, they can be). One reward alone:
    p = least = 1.

    Args:
        groups: With rewards, finite; without rewards the advantages take their place.
        seed: Of the draws, which depend on it and on the margins of the table: batches change nothing.

    Returns:
        One entry for each decision.
    """
    forest = groups.forest
    decision, child, text, value = _texts(groups)
    children = np.bincount(forest.parent[forest.parent >= 0], minlength=len(forest.size))
    children[decision[child < 0]] += 1  # copies that end there are one text, so no step comes twice
    kept = ((children > 1) & ~groups.zero[forest.group])[decision]
    return judged(decision[kept], child[kept], value[text[kept]], seed)


def judged(decision: Ints, child: Ints, value: Ints, seed: int = 0) -> Decisions:
    """Test decisions, of which every distinct text is given.

    Args:
        decision: Of each text, shape (texts,).
        child: The way that it took there, -1 for an end, shape (texts,).
        value: Rank of its reward in its group, shape (texts,).
        seed: As of `decisions`.

    Returns:
        One entry for each decision that is named, ascending.
    """
    table = _tables(decision, child, value)
    number = len(table.step)
    p, least = np.ones(number), np.ones(number)
    if not number:
        return Decisions(table.step, p, least)
    sizes, levels = _padded(table.sizes, table.size_of, number), _padded(table.levels, table.level_of, number)
    # Rows as bytes: `np.unique` compares them several times faster than along an axis.
    rows = np.hstack([sizes, levels])
    margins, which = np.unique(rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_inverse=True)
    margins = margins.view(rows.dtype).reshape(-1, rows.shape[1])
    by_margins = np.split(np.argsort(which.ravel(), kind="stable"), np.cumsum(np.bincount(which.ravel()))[:-1])
    for margin, at in zip(margins, by_margins, strict=True):
        texts, rewards = _trimmed(margin[: sizes.shape[1]]), _trimmed(margin[sizes.shape[1] :])
        rewards = min(rewards, rewards[::-1])  # the mirror image has the same null
        null = _kept_null(texts, rewards)
        if null is None:
            p[at], least[at] = p_by_drawing(texts, rewards, table.statistic[at], seed), LEAST_DRAWN
        else:
            tail = tail_of(null, np.append(table.statistic[at], null.statistic[-1]))
            p[at], least[at] = tail[:-1], tail[-1]
    return Decisions(table.step, p, least)


_kept_null = lru_cache(maxsize=1 << 14)(exact_null)


def _padded(values: Ints, owner: Ints, number: int) -> Ints:
    """Ragged rows as one array, shape (number, longest), 0 behind the end of a row."""
    count = np.bincount(owner, minlength=number)
    rows = np.zeros((number, count.max(initial=0)), np.int64)
    rows[owner, np.arange(len(owner)) - np.repeat(np.cumsum(count) - count, count)] = values
    return rows


def _trimmed(row: Ints) -> tuple[int, ...]:
    return tuple(row[row > 0].tolist())


def _tables(decision: Ints, child: Ints, value: Ints) -> _Tables:
    step, decision = np.unique(decision, return_inverse=True)
    # By decision and reward: equal rewards of one decision are neighbours.
    order = np.lexsort((value, decision))
    decision, child, value = decision[order], child[order], value[order]
    fresh = np.diff(decision, prepend=-1) != 0
    level = np.cumsum(fresh | (np.diff(value, prepend=-1) != 0)) - 1
    levels = np.bincount(level)
    level_of = decision[np.diff(level, prepend=-1) != 0]
    texts = np.bincount(decision)
    before = np.cumsum(levels) - levels - (np.cumsum(texts) - texts)[level_of]
    score = kruskal_scores(before, levels, texts[level_of])

    by_child = np.lexsort((level, child, decision))
    decision, child, level = decision[by_child], child[by_child], level[by_child]
    opens = np.flatnonzero((np.diff(decision, prepend=-1) != 0) | (np.diff(child, prepend=-2) != 0))
    size_of, sizes = decision[opens], np.diff(opens, append=len(decision))
    number = len(step)
    squares = np.add.reduceat(score[level], opens) ** 2 / sizes if len(opens) else np.zeros(0)
    statistic = add_up(size_of, squares, number)
    two = np.bincount(level_of, minlength=number) == 2
    statistic[two] = _log_cells(decision, child, level, number)[two]
    by_size = np.lexsort((sizes, size_of))
    return _Tables(step, sizes[by_size], size_of, levels, level_of, statistic)


def _log_cells(decision: Ints, child: Ints, level: Ints, number: int) -> Floats:
    """Σ ln x! over the cells of each decision; the texts are sorted by decision, child and level."""
    cell = (np.diff(decision, prepend=-1) != 0) | (np.diff(child, prepend=-2) != 0) | (np.diff(level, prepend=-1) != 0)
    opens = np.flatnonzero(cell)
    count = np.diff(opens, append=len(decision))
    return add_up(decision[opens], log_factorials(int(count.max(initial=0)))[count], number)


def _texts(groups: Groups) -> tuple[Ints, Ints, Ints, Ints]:
    """Every distinct text in every process set above the one in which it ends, and in that one.

    Returns:
        Process step, child of it (a step; -1 for the texts that end there), and text, shape (pairs,) each; and the
        reward of each text as the rank of its value in its group, shape (texts,).
    """
    forest = groups.forest
    last = last_steps(forest)
    row = np.flatnonzero(np.diff(last, prepend=-1) != 0)  # the first row of each text, in tree order
    of_row = np.cumsum(np.diff(last, prepend=-1) != 0) - 1
    below = np.flatnonzero(forest.parent >= 0)
    first = of_row[forest.first[below]]
    inside, _ = ranges(first, of_row[forest.first[below] + forest.size[below] - 1] - first + 1)
    repeat = of_row[forest.first[below] + forest.size[below] - 1] - first + 1
    decision = np.concatenate([np.repeat(forest.parent[below], repeat), last[row]])
    child = np.concatenate([np.repeat(below, repeat), np.full(len(row), -1)])
    text = np.concatenate([inside, np.arange(len(row))])
    return decision, child, text, reward_ranks(groups, of_row, row)


def reward_ranks(groups: Groups, text: Ints, row: Ints) -> Ints:
    """Rank in its group of the reward of each text, the mean of its copies; equal to `EQUAL` have one rank.

    Args:
        groups: The groups.
        text: `distinct` of their forest: of each row in tree order.
        row: The first row of each text, in tree order, shape (texts,).
    """
    values = groups.advantages if groups.rewards is None else groups.rewards
    order = groups.forest.order
    # From the first copy on: the mean of equal floats need not equal them.
    first = values[order[row]]
    value = first + np.bincount(text, values[order] - first[text], len(row)) / np.bincount(text, minlength=len(row))
    group = groups.groups[order[row]]
    largest = np.ones(groups.number)
    np.maximum.at(largest, group, np.abs(value))
    sort = np.lexsort((value, group))
    group, gap = group[sort], np.diff(value[sort], prepend=0.0)
    rises = (np.diff(group, prepend=-1) != 0) | (gap > EQUAL * largest[group])
    rank = np.empty(len(row), np.int64)
    rank[sort] = np.cumsum(rises)
    return rank


def decidable(least: Floats) -> Bools:
    """True for the decisions that could be sure: their least attainable p is at most .05, shape (decisions,)."""
    return least <= ALPHA * ROUNDING


def sure(p: Floats, least: Floats) -> Bools:
    """Which decisions are sure: p <= .05 after Benjamini-Hochberg over the `decidable` ones, shape (decisions,).

    Args:
        p: Of all decisions of a log (`decisions`), shape (decisions,).
        least: Likewise.
    """
    could = decidable(least)
    ordered = np.sort(p[could])
    bound = ALPHA * ROUNDING * np.arange(1, len(ordered) + 1) / max(len(ordered), 1)
    reached = ordered[ordered <= bound]
    return could & (p <= reached[-1]) if len(reached) else np.zeros(len(p), bool)
