"""λ-GRPO weights: the factor of each token's whole loss term (definitions: λ-GRPO; parent weights; Controls).

Rows of any length in any order, groups of any size; one value a token, never a padded array.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .forest import Floats, Forest, Ints, completion_lengths, expand

Kind = Literal["process-set", "parent", "position", "none"]
KINDS: tuple[Kind, ...] = get_args(Kind)


def token_factors(
    forest: Forest, groups: Ints, p: float, kind: Kind = "process-set", weights: Floats | None = None
) -> NDArray[np.float32]:
    """Factor of each token's whole loss term, policy and KL part alike.

    Args:
        forest: The process steps of all groups.
        groups: Dense group of each completion, shape (completions,), from 0.
        p: At least 0; 0 is GRPO, 1 the paper's λ-GRPO.
        kind: `process-set` is |λ(i,t)|^-p. `parent` is |λ(i,t-1)|^-p, how many completions reached the decision; k^-p
            at t = 0. `position` is the placebo: the weighted mean of |λ|^-p over the completions of the group that have
            a token at this position. `none` is 1.
        weights: w_i m_it of each token for `position`, 0 where a token is out of the loss, shape (tokens,); None: 1.

    Returns:
        Factors in [0, 1], shape (tokens,), float32, completion after completion.

    Raises:
        ValueError: p is negative or not finite, or the kind is unknown.
    """
    if not 0 <= p < np.inf:
        raise ValueError(f"p is {p}, but a process set must not count for more than its members: give 0 or more.")
    if kind not in KINDS:
        raise ValueError(f"unknown kind of weights {kind!r}: one of {', '.join(KINDS)}.")
    of_step = np.ones(len(forest.size)) if kind == "none" else forest.size ** -float(p)
    factors = expand(forest, of_step)
    if kind == "parent":
        # Inside a step the set does not change from t - 1 to t, so only the first token of a step differs.
        above = np.where(forest.parent < 0, of_step, of_step[forest.parent])
        first = expand(forest, forest.start) == positions(completion_lengths(forest))
        factors[first] = expand(forest, above)[first]
    if kind == "position":
        factors = _mean_at_position(factors, completion_lengths(forest), groups, weights)
    return factors.astype(np.float32)


def positions(lengths: Ints) -> Ints:
    """Position of each token in its completion, from 0, shape (tokens,)."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _mean_at_position(factors: Floats, lengths: Ints, groups: Ints, weights: Floats | None) -> Floats:
    """Weighted mean of the factors over the completions of a group at each position, for each token."""
    longest = np.zeros(int(groups.max(initial=-1)) + 1, np.int64)
    np.maximum.at(longest, groups, lengths)
    # A place for each position of each group: as many as its longest completion has tokens.
    opens = np.cumsum(longest) - longest
    place = np.repeat(opens[groups], lengths) + positions(lengths)
    weights = np.ones(len(factors)) if weights is None else weights
    total = np.bincount(place, weights, longest.sum())
    mean = np.bincount(place, weights * factors, longest.sum())
    # Where no token of a position is in the loss the factor is of no term.
    return np.divide(mean, total, out=np.zeros(len(total)), where=total > 0)[place]


def scale_sums(forest: Forest, p: float, weights: Floats, advantages: Floats) -> tuple[float, float]:
    """Σ w |λ|^-p |a| and Σ w |a|: the first over the second is what p does to the size of the loss (Controls).

    Args:
        forest: The process steps.
        p: As in `token_factors`.
        weights: w_i m_it of each token, shape (tokens,).
        advantages: a_i of each completion, shape (completions,).

    Returns:
        Two sums that add up over parts of a batch.
    """
    pull = weights * np.abs(np.repeat(advantages, completion_lengths(forest)))
    return float((pull * expand(forest, forest.size ** -float(p))).sum()), float(pull.sum())
