"""The policy loss over units: a unit is a token of a padded batch, or a unique token of the tree (definitions: λ-GRPO).

    L = -Σ_u f_u (min(P, 1 + ε_hi) S⁺ + max(P, 1 - ε_lo) S⁻ - β W D P^b)

For a token on its own S⁺ = w m max(a, 0), S⁻ = w m min(a, 0), W = w m, and this is GRPO's clipped surrogate; for a
unique token they are sums over the completions that run through it. It is one formula, so the two paths cannot part.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Terms(NamedTuple):
    """What the loss is made of beside log-probabilities, shape (units,) each, no gradient.

    Attributes:
        plus: S⁺ = Σ w_j m_jt max(a_j, 0) over the completions through the unit, the normaliser in w.
        minus: S⁻ = Σ w_j m_jt min(a_j, 0).
        weight: W = Σ w_j m_jt.
        factor: f, `weights.token_factors`.
    """

    plus: Tensor
    minus: Tensor
    weight: Tensor
    factor: Tensor


def unit_terms(unit: Tensor, units: int, advantages: Tensor, weights: Tensor, factor: Tensor) -> Terms:
    """Add up over the tokens of every unit.

    Args:
        unit: Unit of each completion token, shape (tokens,), int64.
        units: How many units there are.
        advantages: a of the completion of each token, shape (tokens,), float64.
        weights: w_i m_it of each token, shape (tokens,), float64; 0 out of the loss.
        factor: f of each token, shape (tokens,); equal for the tokens of a unit.

    Returns:
        The terms in float32; a unit without a token in the loss has all sums 0.
    """
    columns = torch.stack([weights * advantages.clamp(min=0), weights * advantages.clamp(max=0), weights], 1)
    sums = columns.new_zeros(units, 3).index_add_(0, unit, columns).float()
    of_unit = torch.zeros(units, device=unit.device).index_copy_(0, unit, factor.float())
    return Terms(*sums.unbind(1), of_unit)


def policy_loss(
    logprobs: Tensor,
    old: Tensor,
    terms: Terms,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    beta: float = 0.0,
    reference: Tensor | None = None,
    ratio_in_kl: bool = True,
) -> Tensor:
    """Clipped surrogate with sign-split sums, and the k3 estimate of the KL divergence (definitions: Clipping; λ-GRPO).

    Args:
        logprobs: Log-probability of each unit under the policy, shape (units,).
        old: The same under the policy that the update started from, no gradient, shape (units,).
        terms: `unit_terms`, the normaliser of the whole optimizer step in their weights, so that micro-batches add up.
        clip_low: ε_lo.
        clip_high: ε_hi.
        beta: β of the KL term D = exp(q) - q - 1, q = reference - logprobs.
        reference: Log-probabilities of the frozen reference, shape (units,); needed where beta > 0.
        ratio_in_kl: Multiply D by the ratio, as TRL does by default.

    Returns:
        The loss, a scalar.
    """
    ratio = (logprobs - old).exp()
    # min over the clipped and the plain ratio splits by the sign of a: only gains are capped, only losses are floored.
    gain = ratio.clamp(max=1 + clip_high) * terms.plus + ratio.clamp(min=1 - clip_low) * terms.minus
    if beta:
        gain = gain - beta * terms.weight * kl_estimate(logprobs, reference) * (ratio if ratio_in_kl else 1.0)
    return -(terms.factor * gain).sum()


def kl_estimate(logprobs: Tensor, reference: Tensor | None) -> Tensor:
    """D = exp(q) - q - 1 with q = reference - logprobs, shape (units,); not negative (Schulman's k3)."""
    if reference is None:
        raise ValueError("a KL term needs the log-probabilities of a reference: load one, or set beta to 0")
    q = reference - logprobs
    return q.exp() - q - 1
