"""What logged log-probabilities say of decisions: surprisal there and elsewhere, covariance with the step advantage.

Sums per group, so that batches add up and a bootstrap resamples them (definitions: Logged log-probabilities).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Ints, add_up, expand
from .groups import Groups
from .identity import usable
from .prm import Bools


class SurprisalSums(NamedTuple):
    """Sums of each group over its loss tokens with a log-probability x, shape (groups,) each, float64.

    Attributes:
        decision_surprisal, decision_tokens: Σ -x over first tokens after a decision, and their number.
        elsewhere_surprisal, elsewhere_tokens: The same over the other tokens whose parent set has two members or more.
        logprob_tokens, logprob_sum, advantage_sum, product_sum: Number, Σ x, Σ A and Σ x A of all tokens.
        product_size: Σ abs(x A) of all tokens, by which a sum of them is told from rounding.
        decision_logprob, decision_advantage, decision_product: Σ x, Σ A and Σ x A of the tokens at decisions.
        left_out: Loss tokens without a usable log-probability.
    """

    decision_surprisal: Floats
    decision_tokens: Floats
    elsewhere_surprisal: Floats
    elsewhere_tokens: Floats
    logprob_tokens: Floats
    logprob_sum: Floats
    advantage_sum: Floats
    product_sum: Floats
    product_size: Floats
    decision_logprob: Floats
    decision_advantage: Floats
    decision_product: Floats
    left_out: Floats


def token_rows(groups: Groups) -> tuple[Ints, Ints]:
    """Completion and position of each token, shape (tokens,) each."""
    opens = np.cumsum(groups.lengths) - groups.lengths
    row = np.repeat(np.arange(len(groups.lengths)), groups.lengths)
    return row, np.arange(len(row)) - opens[row]


def decision_tokens(groups: Groups) -> tuple[Bools, Bools]:
    """Which tokens follow a decision, and which others have a parent set of two members or more, shape (tokens,) each.

    A set with a child is a decision: a step ends where its members part, so there is a second child, or some end there.
    (Groups of equal rewards have theirs, too: log-probabilities do not depend on rewards.)
    """
    forest = groups.forest
    _, position = token_rows(groups)
    first = expand(forest, np.where(forest.parent < 0, -1, forest.start)) == position
    return first, ~first & (expand(forest, forest.size) > 1)


def surprisal_sums(groups: Groups, logprobs: Floats) -> SurprisalSums:
    """Surprisal and products with A(λ) over the loss tokens of each group.

    Args:
        groups: Groups of two completions or more, with advantages.
        logprobs: x of each token, completion after completion, shape (tokens,), in nats. A token whose value is not
            `usable` takes no part and is counted in `left_out`.
    """
    row, _ = token_rows(groups)
    in_loss = np.ones(len(row), bool) if groups.mask is None else groups.mask
    used, group = in_loss & usable(logprobs), groups.groups[row]
    x = np.where(used, logprobs, 0.0)
    a = np.where(used, expand(groups.forest, groups.set_advantages), 0.0)
    at_decision, elsewhere = (used & tokens for tokens in decision_tokens(groups))

    def total(values: Floats | Bools) -> Floats:
        return add_up(group, values, groups.number)

    return SurprisalSums(
        decision_surprisal=total(-x * at_decision),
        decision_tokens=total(at_decision),
        elsewhere_surprisal=total(-x * elsewhere),
        elsewhere_tokens=total(elsewhere),
        logprob_tokens=total(used),
        logprob_sum=total(x),
        advantage_sum=total(a),
        product_sum=total(x * a),
        product_size=total(np.abs(x * a)),
        decision_logprob=total(x * at_decision),
        decision_advantage=total(a * at_decision),
        decision_product=total(x * a * at_decision),
        left_out=total(in_loss & ~used),
    )


class Covariances(NamedTuple):
    """Covariance of log π and A, of the shape of the sums; NaN where it is 0/0.

    Attributes:
        everywhere: Over all loss tokens.
        at_decisions: Over the first tokens after decisions, about their own means.
        share_at_decisions: Share of the sum of products of deviations, about the means of all tokens, that falls on
            first tokens after decisions; below 0 or above 1 where the other tokens have the other sign. NaN where the
            sum over all is 0 but for rounding.
    """

    everywhere: Floats
    at_decisions: Floats
    share_at_decisions: Floats


def covariances(sums: SurprisalSums) -> Covariances:
    """Covariances of any sums over groups, shape (...,) each (arXiv 2505.22617: what drives entropy)."""
    n, m = np.asarray(sums.logprob_tokens, float), np.asarray(sums.decision_tokens, float)
    x, a = _ratio(sums.logprob_sum, n), _ratio(sums.advantage_sum, n)
    total = sums.product_sum - n * x * a
    # Σ (log π - mean)(A - mean) over the tokens at decisions, about the means of all tokens.
    there = sums.decision_product - x * sums.decision_advantage - a * sums.decision_logprob + m * x * a
    own = _ratio(sums.decision_product, m) - _ratio(sums.decision_logprob, m) * _ratio(sums.decision_advantage, m)
    rounding = 1e-12 * (sums.product_size + np.abs(n * x * a))
    share = np.divide(there, total, out=np.full(np.shape(total), np.nan), where=np.abs(total) > rounding)
    return Covariances(_ratio(total, n), own, share)


def _ratio(above: Floats, below: Floats) -> Floats:
    """Quotient, NaN where the denominator is 0."""
    above, below = np.broadcast_arrays(np.asarray(above, float), below)
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)
