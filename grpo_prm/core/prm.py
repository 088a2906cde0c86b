"""The process reward model that GRPO implies: group advantages, and their means over every process set.

Every function is one formula of (definitions: The implicit process reward model); Sullivan and Koller, Theorem 1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .forest import Floats, Forest, Ints, add_up, completion_lengths, step_sums, unique_index

Bools = NDArray[np.bool_]
Std = Literal["sample", "population", "none", "batch"]
Aggregation = Literal["dapo", "bnpo", "grpo", "dr_grpo"]

EPS = 1e-4  # added to the standard deviation, as the authors' code and TRL do
ROUNDING = 1e-12  # of the largest value of a group: what is smaller is rounding
HUGE = 1e100  # no reward or advantage: its square, in the deviation of a group, would soon be infinite
FLAT = 1e-6  # rewards closer than this (relative to 1 and to their size) are equal


def countable(values: Floats) -> Bools:
    """True where a reward or an advantage can be computed with: finite and below 1e100, of the same shape."""
    return np.abs(values) < HUGE


def group_advantages(rewards: Floats, groups: Ints, std: Std = "sample", eps: float = EPS) -> Floats:
    """Outcome advantage a_i = (r_i - mean(r)) / (std(r) + eps) of every completion.

    A reward that is not finite, or 1e100 or more, gives advantage 0 and is left out of mean and deviation. A
    zero-variance group (max - min <= 1e-6 max(1, max|r|), or fewer than two finite rewards) has advantage exactly 0.

    Args:
        rewards: Outcome rewards r, shape (completions,), any unit.
        groups: Dense group of each completion, shape (completions,), int64 from 0.
        std: `sample` divides by k - 1 (TRL), `population` by k, `none` leaves the unit of the reward (Dr. GRPO),
            `batch` takes the sample deviation of all finite rewards given.
        eps: Added to the deviation; without effect for `none`.

    Returns:
        Advantages, shape (completions,), float64.

    Examples:
        >>> import numpy as np
        >>> import grpo_prm
        >>> rewards, groups = np.array([1.0, 0.0, 1.0, 1.0, 1.0]), np.array([0, 0, 0, 1, 1])
        >>> grpo_prm.group_advantages(rewards, groups).round(3).tolist()
        [0.577, -1.155, 0.577, 0.0, 0.0]
    """
    rewards = np.asarray(rewards, np.float64)
    finite = countable(rewards)
    kept = np.where(finite, rewards, 0.0)
    number = np.bincount(groups)
    # A group without a finite reward divides by 1 instead of 0: its centred rewards are 0 anyway.
    count = np.maximum(np.bincount(groups, finite, len(number)), 1)
    mean = np.bincount(groups, kept, len(number)) / count
    centred = np.where(finite, kept - mean[groups], 0.0)
    centred[zero_variance(rewards, groups)[groups]] = 0.0  # the mean of equal floats need not equal them
    if std == "none":
        return centred
    if std == "batch":
        spread = np.full(len(number), rewards[finite].std(ddof=1) if finite.sum() > 1 else 0.0)
    else:
        freedom = np.maximum(count - (std == "sample"), 1)
        spread = np.sqrt(np.bincount(groups, centred**2, len(number)) / freedom)
    return centred / (spread + eps)[groups]


def zero_variance(values: Floats, groups: Ints) -> Bools:
    """True for the groups whose finite values are equal: max - min <= 1e-6 max(1, max|v|), shape (groups,)."""
    finite = countable(values)
    number = int(groups.max(initial=-1)) + 1
    high, low = np.full(number, -np.inf), np.full(number, np.inf)
    np.maximum.at(high, groups[finite], values[finite])
    np.minimum.at(low, groups[finite], values[finite])
    several = np.bincount(groups[finite], minlength=number) >= 2
    largest = np.maximum(np.abs(high), np.abs(low), out=np.zeros(number), where=several)
    gap = np.subtract(high, low, out=np.zeros(number), where=several)
    return gap <= FLAT * np.maximum(1.0, largest)


def zero_tolerance(advantages: Floats, groups: Ints, *, logged: bool = False, rewards: Floats | None = None) -> Floats:
    """Bound of each group within which an advantage, a or A, counts as 0 (definitions: Tolerance).

    Args:
        advantages: a, shape (completions,).
        groups: Dense group of each completion, shape (completions,), int64 from 0.
        logged: They come from a log, computed in float32 by whatever trainer.
        rewards: r that logged advantages were made of, shape (completions,); None: not known.

    Returns:
        Shape (groups,), float64, in the unit of the advantages: 1e-12 max|a|; of logged ones what rounding explains
        (`float32_bound`) where that explains the mean of the group too, else 1e-6 max(1, max|a|).
    """
    largest = np.zeros(int(groups.max(initial=-1)) + 1)
    np.maximum.at(largest, groups, np.abs(advantages))
    if not logged:
        return ROUNDING * largest
    plain = 1e-6 * np.maximum(1.0, largest)
    if rewards is None:
        return plain
    # Advantages that rounding cannot make of centred rewards hold something else (a KL term, the baseline of a batch),
    # so their rewards say nothing about their divisor.
    bound = float32_bound(rewards, groups, largest)
    return np.where(np.abs(group_means(advantages, groups)) <= bound, bound, plain)


# Float32 rounds by at most u = eps / 2 of a value. Let R = max|r| of a group of k. Rounding r costs u R, and so does
# the mean of the rounded ones; adding k numbers in any order (k - 1) u R of the mean, dividing by k another u R; the
# difference r - mean, at most 2 R, is rounded once and its quotient by d once more: 4 u R; products of these, u R.
# So d a lies within (k + 7) u R of r - mean(r), and with every a every mean A of them: N = C eps R, C = (k + 7) / 2.
# What d was (std + eps of the group or of the batch, or 1) is seen in the log: S = max|r - mean(r)| is known, and
# d max|a| >= S - N, so N / d <= N max|a| / (S - N). With N >= S / 2 that is max|a| or more: nothing can be told.
def float32_bound(rewards: Floats, groups: Ints, largest: Floats) -> Floats:
    """How far from 0 rounding may put a centred advantage whose value is 0, computed in float32, by any divisor.

    C eps max|r| / d for d the divisor, C = (k + 7) / 2 and eps = 2^-23; d is what the log shows of it (derived above).

    Args:
        rewards: r, shape (completions,), any unit; those that are not finite are left out.
        groups: Dense group of each completion, shape (completions,).
        largest: max|a| of each group, shape (groups,).

    Returns:
        Shape (groups,), float64, in the unit of the advantages; at most max|a|.
    """
    finite = countable(rewards)
    kept, at, number = rewards[finite], groups[finite], len(largest)
    size, spread = np.zeros(number), np.zeros(number)
    np.maximum.at(size, at, np.abs(kept))
    np.maximum.at(spread, at, np.abs(kept - group_means(kept, at, number)[at]))
    noise = (np.bincount(at, minlength=number) + 7) / 2 * np.finfo(np.float32).eps * size
    share = np.divide(noise, spread - noise, out=np.ones(number), where=spread > 2 * noise)
    return largest * share


def group_means(values: Floats, groups: Ints, number: int | None = None) -> Floats:
    """Mean over the completions of each group, 0 for one without any, shape (groups,)."""
    count = np.bincount(groups, minlength=number or 0)
    return np.bincount(groups, values, number or 0) / np.maximum(count, 1)


def beyond(tolerance: Floats, values: Floats) -> Floats:
    """The values, exactly 0 where they are within their tolerance (A at a root is 0, but not to the last bit)."""
    return np.where(np.abs(values) > tolerance, values, 0.0)


class Signs(NamedTuple):
    """Signs beyond the tolerance of the group: of completions, shape (completions,), and of steps, shape (steps,)."""

    good: Bools
    bad: Bools
    raised: Bools
    lowered: Bools


def signs(forest: Forest, advantages: Floats, step_advantages: Floats, tolerance: Floats, groups: Ints) -> Signs:
    """Compare a and A with the `zero_tolerance` of their group, shape (groups,)."""
    row, step = tolerance[groups], tolerance[forest.group]
    return Signs(advantages > row, advantages < -row, step_advantages > step, step_advantages < -step)


def step_means(forest: Forest, values: Floats, weights: Floats | None = None) -> Floats:
    """Mean of `values` over the completions of every process set: R(λ) of rewards, A(λ) of advantages.

    Args:
        forest: The process steps.
        values: One value per completion, shape (completions,) or (completions, columns).
        weights: Weight w_i of each completion, shape (completions,), not negative; None is equal weights.

    Returns:
        The (weighted) means, shape (steps,) or (steps, columns), in the unit of `values`; NaN where all weights are 0.

    Examples:
        >>> import numpy as np
        >>> import grpo_prm
        >>> forest = grpo_prm.build_forest([5, 6, 7, 5, 6, 8, 5, 9], [3, 3, 2], [0, 0, 0])
        >>> grpo_prm.step_means(forest, np.array([1.0, 0.0, 1.0])).round(2).tolist()
        [0.67, 0.5, 1.0, 0.0, 1.0]
    """
    if weights is None:
        return (step_sums(forest, values).T / forest.size).T
    total = step_sums(forest, weights)
    return np.divide(step_sums(forest, weights * values), total, out=np.full(len(total), np.nan), where=total > 0)


def completion_weights(aggregation: Aggregation, loss_tokens: Ints, token_limit: int | None = None) -> Floats:
    """Weight w_i that an aggregation gives each token of completion i, its normaliser included.

    Args:
        aggregation: `dapo` and `bnpo` 1 / loss tokens of the step; `grpo` 1 / (rows x loss tokens of i, at least 1);
            `dr_grpo` 1 / (rows x token limit).
        loss_tokens: Loss tokens of every row of the optimizer step, masked rows (0) too, shape (completions,).
        token_limit: Largest number of completion tokens, for `dr_grpo`.

    Returns:
        w, shape (completions,), float64.

    Raises:
        ValueError: `dr_grpo` without a token limit, or an unknown aggregation.
    """
    rows = max(len(loss_tokens), 1)
    if aggregation in ("dapo", "bnpo"):
        return np.full(len(loss_tokens), 1.0 / max(loss_tokens.sum(), 1))
    if aggregation == "grpo":
        return 1.0 / (rows * np.maximum(loss_tokens, 1.0))
    if aggregation == "dr_grpo":
        if not token_limit:
            raise ValueError("dr_grpo divides by the token limit: give token_limit")
        return np.full(len(loss_tokens), 1.0 / (rows * token_limit))
    raise ValueError(f"unknown aggregation {aggregation!r}: one of dapo, bnpo, grpo, dr_grpo")


class SignSplit(NamedTuple):
    """The two numbers of a token under clipping, and the total weight, of one shape (definitions: Clipping)."""

    plus: Floats
    minus: Floats
    weight: Floats


def sign_split_sums(
    forest: Forest, advantages: Floats, weights: Floats | None = None, mask: Bools | None = None
) -> SignSplit:
    """S⁺ = Σ w_j m_jt max(a_j, 0), S⁻ = Σ w_j m_jt min(a_j, 0) and W = Σ w_j m_jt over j in λ.

    Args:
        forest: The process steps.
        advantages: a, shape (completions,).
        weights: w of `completion_weights`, shape (completions,); None is 1.
        mask: True where a token is in the loss, shape (tokens,); members of a set may differ in it.

    Returns:
        One entry per process step without a mask; with one, per unique tree token (`unique_index`).

    Examples:
        >>> import numpy as np
        >>> import grpo_prm
        >>> forest = grpo_prm.build_forest([5, 6, 7, 5, 6, 8, 5, 9], [3, 3, 2], [0, 0, 0])
        >>> split = grpo_prm.sign_split_sums(forest, np.array([1.0, -2.0, 1.0]))
        >>> split.plus.tolist(), split.minus.tolist()
        ([2.0, 1.0, 1.0, 0.0, 1.0], [-2.0, -2.0, 0.0, -2.0, 0.0])
    """
    weights = np.ones(len(advantages)) if weights is None else weights
    columns = np.stack([weights * np.maximum(advantages, 0), weights * np.minimum(advantages, 0), weights], axis=1)
    if mask is None:
        return SignSplit(*step_sums(forest, columns).T)
    at, row = unique_index(forest)[mask], np.repeat(np.arange(len(advantages)), completion_lengths(forest))[mask]
    total = int(forest.length.sum())
    return SignSplit(*(add_up(at, column[row], total) for column in columns.T))


def contest(split: SignSplit) -> Floats:
    """1 - |S⁺ + S⁻| / (S⁺ - S⁻): 0 where all members agree in sign, 1 at a draw, NaN where both sums are 0."""
    size = split.plus - split.minus
    return 1 - np.divide(np.abs(split.plus + split.minus), size, out=np.full(len(size), np.nan), where=size > 0)
