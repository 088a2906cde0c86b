"""Sampler and trainer on the same tokens: importance weights, effective sample size, the largest gap.

Their log-probabilities differ by numerics, or since the policy moved on while the sampler sampled (definitions: Logged
log-probabilities).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from .forest import Floats, Ints, add_up, expand
from .groups import Groups
from .identity import likelihood_ratio, usable


class GapSums(NamedTuple):
    """Sums over loss tokens with both log-probabilities, of one shape, float64.

    Attributes:
        gap_tokens: Their number.
        weight_sum, weight_squares: Σ w and Σ w², w = exp(trainer - sampler).
        largest_gap: Largest abs(trainer - sampler); 0 without a token.
        gap_left_out: Loss tokens without a usable pair.
    """

    gap_tokens: Floats
    weight_sum: Floats
    weight_squares: Floats
    largest_gap: Floats
    gap_left_out: Floats


def gap_sums(groups: Groups, sampler: Floats, trainer: Floats, at: Ints, number: int) -> GapSums:
    """Weights and gaps, added up over bins of tokens.

    Args:
        groups: The groups.
        sampler: Log-probabilities under the policy that sampled, shape (tokens,), in nats.
        trainer: Under the policy of the trainer, before its update, shape (tokens,). A token takes no part, and is
            counted, where either is not `usable`. A difference beyond 300 enters w as 300.
        at: Bin of each token, shape (tokens,), for instance `groups_of_tokens` or `size_bins`.
        number: How many bins there are.

    Returns:
        Sums of shape (number,).
    """
    in_loss = np.ones(len(at), bool) if groups.mask is None else groups.mask
    used = in_loss & usable(sampler) & usable(trainer)
    gap, bins = trainer[used] - sampler[used], at[used]
    weight = likelihood_ratio(gap)
    largest = np.zeros(number)
    np.maximum.at(largest, bins, np.abs(gap))
    return GapSums(
        gap_tokens=add_up(bins, np.ones(len(bins)), number),
        weight_sum=add_up(bins, weight, number),
        weight_squares=add_up(bins, weight**2, number),
        largest_gap=largest,
        gap_left_out=add_up(at, in_loss & ~used, number),
    )


def groups_of_tokens(groups: Groups) -> Ints:
    """Group of each token, shape (tokens,)."""
    return np.repeat(groups.groups, groups.lengths)


def size_bins(groups: Groups) -> Ints:
    """Bin of the process-set size of each token, shape (tokens,): 0 for 1, 1 for 2, 2 for 3 and 4, 3 for 5 to 8, ..."""
    # The binary digits of size - 1, exactly.
    return np.frexp((expand(groups.forest, groups.forest.size) - 1).astype(np.float64))[1].astype(np.int64)


def bin_name(number: int) -> str:
    """The sizes of a bin: `1`, `2`, `3-4`, `5-8`."""
    return str(number + 1) if number < 2 else f"{2 ** (number - 1) + 1}-{2**number}"


def effective_sample_size(tokens: ArrayLike, weight: ArrayLike, squares: ArrayLike) -> Floats:
    """(Σ w)² / (n Σ w²): 1 where all weights are equal, 1 / n where one outweighs all; NaN without tokens."""
    tokens, weight, squares = (np.asarray(values, np.float64) for values in (tokens, weight, squares))
    # One factor at a time: the product of n and Σ w² may be too large for a float.
    mean = np.divide(weight, squares, out=np.full(weight.shape, np.nan), where=squares > 0)
    return mean * np.divide(weight, tokens, out=np.full(weight.shape, np.nan), where=tokens > 0)
