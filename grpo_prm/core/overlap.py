"""Overlap: how much of its path a completion shares with others of its group (definitions: Overlap statistics)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Forest, Ints, Visits


class CompletionOverlap(NamedTuple):
    """Overlap of each completion, shape (completions,) each, int64.

    Attributes:
        path_depth: Intermediate process sets with a loss token on its path; 0 for a completion without loss tokens.
        intermediate: Its loss tokens with 1 < |λ| < k.
        shared: Its loss tokens with |λ| > 1.
    """

    path_depth: Ints
    intermediate: Ints
    shared: Ints


class GroupOverlap(NamedTuple):
    """Overlap of each group, shape (groups,) each; NaN where no completion has a loss token.

    Attributes:
        path_depth: Mean path depth of its completions.
        intermediate_proportion: Mean over completions with loss tokens of the share that is intermediate, in [0, 1].
        shared_proportion: The same of the shared tokens.
        intermediate_steps: Intermediate process sets with a loss token, int64; 0 is a flat tree.
        process_steps: Process sets with a loss token, int64.
        step_size: Sum of |λ| over those, int64.
        intermediate_tokens: Loss tokens of all completions with 1 < |λ| < k, int64.
        identical_tokens: Those of them in sets whose members are identical to the end, int64.
    """

    path_depth: Floats
    intermediate_proportion: Floats
    shared_proportion: Floats
    intermediate_steps: Ints
    process_steps: Ints
    step_size: Ints
    intermediate_tokens: Ints
    identical_tokens: Ints


def identical(forest: Forest) -> np.ndarray:
    """True for the intermediate steps whose members are identical to the end: nothing follows, shape (steps,)."""
    leaf = np.ones(len(forest.size), bool)
    leaf[forest.parent[forest.parent >= 0]] = False
    return leaf & forest.intermediate


def completion_overlap(forest: Forest, seen: Visits) -> CompletionOverlap:
    """Path depth and shared tokens of every completion."""
    rows = len(forest.order)
    # A set without a loss token says nothing about training, so it adds nothing to the depth.
    counted = forest.intermediate & (seen.unique > 0)
    depth = np.bincount(seen.row, counted[seen.step], rows).astype(np.int64)
    depth[seen.completion == 0] = 0
    between = np.bincount(seen.row, seen.tokens * forest.intermediate[seen.step], rows).astype(np.int64)
    shared = np.bincount(seen.row, seen.tokens * (forest.size > 1)[seen.step], rows).astype(np.int64)
    return CompletionOverlap(depth, between, shared)


def group_overlap(forest: Forest, seen: Visits, each: CompletionOverlap, groups: Ints, number: int) -> GroupOverlap:
    """Means and counts of every group.

    Args:
        forest: The process steps.
        seen: `visits` of the forest.
        each: `completion_overlap` of the forest.
        groups: Dense group of each completion, shape (completions,), in [0, number).
        number: How many groups there are.
    """

    def over_steps(values: np.ndarray) -> Ints:
        return np.bincount(forest.group, values, number).astype(np.int64)

    counted = seen.unique > 0
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size))
    return GroupOverlap(
        *overlap_means(each, seen.completion, groups, number),
        over_steps(counted & forest.intermediate),
        over_steps(counted),
        over_steps(counted * forest.size),
        over_steps(tokens * forest.intermediate),
        over_steps(tokens * identical(forest)),
    )


def overlap_means(each: CompletionOverlap, tokens: Ints, groups: Ints, number: int) -> tuple[Floats, Floats, Floats]:
    """The first three of `GroupOverlap`.

    Args:
        each: Of the completions.
        tokens: Loss tokens of each completion, shape (completions,).
        groups: As of `group_overlap`.
        number: As of `group_overlap`.
    """
    some, loss = tokens > 0, np.maximum(tokens, 1)

    def mean(values: Floats, over: Ints) -> Floats:
        sums = np.bincount(groups, values, number)
        return np.divide(sums, over, out=np.full(number, np.nan), where=over > 0)

    with_loss = np.bincount(groups, some, number).astype(np.int64)
    return (
        mean(each.path_depth.astype(float), np.bincount(groups, minlength=number)),
        mean(np.where(some, each.intermediate / loss, 0.0), with_loss),
        mean(np.where(some, each.shared / loss, 0.0), with_loss),
    )
