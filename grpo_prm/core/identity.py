"""Theorem 1, measured on a log: how far Σ P a and Σ P A differ, and how far members disagree on one probability.

Both are free checks of a log. Where the members of a process set read the same prefix, the logged log-probabilities of
the token they share should be equal; where they are not, the sampler's numerics differ by row or by policy.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Forest, Ints, add_up, completion_lengths, shared_tokens
from .prm import Bools

SENTINEL = -9999.0  # vLLM writes it for -inf; -inf and NaN of a log become it, since a table holds none
# Below it e^x is 0 in float64 too, and what has no chance is not sampled: -9999, as bfloat16 has it (-9984), or -1e9.
LOWEST = -745.0
# Above it a probability would be more than one: float32 is off by 1e-3 where logits are 1e4, which none are.
HIGHEST = 1e-3
LARGEST = 300.0  # of a difference inside exp: its square stays finite, and one such token outweighs all others anyway


def usable(logprobs: Floats) -> Bools:
    """True where a log-probability can be one: from `LOWEST` to `HIGHEST`, which NaN is not; of the same shape."""
    return (logprobs >= LOWEST) & (logprobs <= HIGHEST)


def likelihood_ratio(difference: Floats) -> Floats:
    """Exp of a difference of log-probabilities, one beyond 300 taken as 300, so that sums of it are finite."""
    return np.exp(np.clip(difference, -LARGEST, LARGEST))


class LogprobCheck(NamedTuple):
    """Per-group sums of `logprob_check`, shape (groups,) each, float64.

    Attributes:
        with_outcome: Σ P a_i over the loss tokens.
        with_step: Σ P A(λ(i,t)) over the same tokens.
        absolute: Σ |P a_i|.
        spread: Sum of max - min of the log-probability over the unique shared tokens.
        shared: Number of unique shared tokens with a log-probability.
        largest: Largest max - min.
    """

    with_outcome: Floats
    with_step: Floats
    absolute: Floats
    spread: Floats
    shared: Floats
    largest: Floats


def logprob_check(
    forest: Forest, advantages: Floats, logprobs: Floats, groups: Ints, number: int, mask: Bools | None = None
) -> LogprobCheck:
    """Identity gap and log-probability spread of logged rollouts (definitions: identity gap; log-probability spread).

    P = exp(x - mean of x over the set at t), with x the logged log-probability, so P = 1 wherever the members agree.
    Tokens out of the loss and tokens without a `usable` log-probability take no part.

    Args:
        forest: The process steps.
        advantages: a, shape (completions,).
        logprobs: x, shape (tokens,), NaN where none was logged.
        groups: Dense group of each completion, shape (completions,).
        number: How many groups there are.
        mask: True where a token is in the loss, shape (tokens,).
    """
    used = usable(logprobs) if mask is None else usable(logprobs) & mask
    token, at, row = shared_tokens(forest)
    kept = used[token]
    token, at, row = token[kept], at[kept], row[kept]
    x, a = logprobs[token].astype(np.float64), advantages[row]
    unique = int(forest.length.sum())
    count = np.maximum(np.bincount(at, minlength=unique), 1)
    # Only differences inside a set matter, and the mean as reference keeps exp near 1.
    ratio = likelihood_ratio(x - (np.bincount(at, x, unique) / count)[at])
    outcome = add_up(groups[row], ratio * a, number)
    step = add_up(groups[row], ratio * (np.bincount(at, a, unique) / count)[at], number)
    absolute = add_up(groups[row], np.abs(ratio * a), number)

    # Tokens with |λ| = 1 need no expansion: their ratio is 1 and their step advantage is a itself.
    length = completion_lengths(forest)
    through = np.concatenate([[0], np.cumsum(used)])
    end = np.cumsum(length)
    alone = through[end] - through[end - length] - np.bincount(row, minlength=len(groups))  # P = 1, A = a
    rest = add_up(groups, alone * advantages, number)

    high, low = np.full(unique, -np.inf), np.full(unique, np.inf)
    np.maximum.at(high, at, x)
    np.minimum.at(low, at, x)
    seen = high > -np.inf
    gap = np.subtract(high, low, out=np.zeros(unique), where=seen)
    group = np.repeat(forest.group, forest.length)
    largest = np.zeros(number)
    np.maximum.at(largest, group[seen], gap[seen])
    return LogprobCheck(
        outcome + rest,
        step + rest,
        absolute + add_up(groups, alone * np.abs(advantages), number),
        add_up(group, gap, number),
        add_up(group, seen, number),
        largest,
    )


def identity_gap(with_outcome: float, with_step: float, absolute: float) -> float:
    """|Σ P a - Σ P A| / Σ |P a|; NaN where the denominator is 0."""
    return abs(with_outcome - with_step) / absolute if absolute > 0 else float("nan")
