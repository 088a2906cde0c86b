"""How far the outcome form and the step form of GRPO's loss and gradient are apart, float64 (definitions: Theorem 1).

The outcome form is `identity_outcome`. The step form comes from what the package trains and analyses with: the forest,
step means, sign-split sums and the loss over units.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..core.forest import Floats, Forest, expand, unique_index
from ..core.prm import Aggregation, completion_weights, sign_split_sums, step_means
from .identity_outcome import Form, Rollouts, outcome_form, sequence_outcome_form

if TYPE_CHECKING:
    from torch import Tensor

    from ..core.loss import Terms

AGGREGATIONS: tuple[Aggregation, ...] = ("dapo", "bnpo", "grpo", "dr_grpo")
CLIP = (0.2, 0.28)
BETA = 0.1
NOISE = 0.1  # of log-probabilities, one number for each completion
THEOREM, SEQUENCE_ON = "Theorem 1", "ratio of a whole sequence, on-policy"
SEQUENCE_OFF, BY_ROW, DROPOUT = "ratio of a whole sequence, off-policy", "old probabilities by row", "dropout"
CONTROLS = (SEQUENCE_OFF, BY_ROW, DROPOUT)


class Policy(NamedTuple):
    """Log-probabilities of the tokens, shape (tokens,) each, float64; `now` alone has a gradient.

    Attributes:
        now: Of the policy.
        old: Of the policy at the start of the update.
        reference: Of the frozen reference.
        parameters: What gradients are with respect to.
    """

    now: Tensor
    old: Tensor
    reference: Tensor
    parameters: Sequence[Tensor]


class Gap(NamedTuple):
    """|L - L'| / Σ |terms of L|, and |g - g'| / |g|; NaN where the denominator is 0."""

    form: str
    loss: float
    gradient: float


def gaps(rollouts: Rollouts, policy: Policy, *, noise: Floats, ratio_in_kl: bool = True) -> list[Gap]:
    """Gaps of every form, then of the negative controls.

    Args:
        rollouts: What was sampled.
        policy: Its log-probabilities, equal for equal prefixes.
        noise: One standard normal number a completion, shape (completions,).
        ratio_in_kl: Multiply the KL term by the ratio.
    """
    forest, row, a = rollouts.forest(), rollouts.row, rollouts.advantages
    now, old, reference = (x.detach().numpy() for x in (policy.now, policy.old, policy.reference))
    kl: Any = {"beta": BETA, "ratio_in_kl": ratio_in_kl}
    even = np.full(len(row), 1 / len(row))
    step = _step_loss(policy, expand(forest, step_means(forest, a)), even, **kl)
    # The derivatives of the outcome form are by hand, those of the step form by autograd: no code in common.
    measured = [compare(THEOREM, policy, outcome_form(now, old, reference, a[row], even, **kl), step)]
    for aggregation in AGGREGATIONS:
        w = rollouts.weights(aggregation)
        outcome = outcome_form(now, old, reference, a[row], w[row], **kl)
        step = _step_loss(policy, *_weighted(rollouts, forest, aggregation), **kl)
        measured.append(compare(f"weighted, {aggregation}", policy, outcome, step))
        outcome = outcome_form(now, old, reference, a[row], w[row], clip=CLIP, **kl)
        step = _unique_loss(policy, rollouts, forest, aggregation, **kl)
        measured.append(compare(f"clipped, {aggregation}", policy, outcome, step))
    for name, start in ((SEQUENCE_ON, now), (SEQUENCE_OFF, old)):
        step = _sequence_step_loss(policy, start, rollouts, forest)
        measured.append(compare(name, policy, sequence_outcome_form(now, start, rollouts), step))
    return [*measured, row_gap(BY_ROW, rollouts, policy, old + NOISE * noise[row])]


def row_gap(form: str, rollouts: Rollouts, policy: Policy, old: Floats) -> Gap:
    """Gap of the weighted form (grpo) with other old log-probabilities, which need not be equal for equal prefixes."""
    import torch

    a, w = rollouts.advantages, rollouts.weights("grpo")
    outcome = outcome_form(policy.now.detach().numpy(), old, old, a[rollouts.row], w[rollouts.row])
    moved = policy._replace(old=torch.from_numpy(old))
    step = _step_loss(moved, *_weighted(rollouts, rollouts.forest(), "grpo"))
    return compare(form, policy, outcome, step)


def compare(form: str, policy: Policy, outcome: Form, step: Tensor) -> Gap:
    """Outcome form against the loss of the step form, which has a graph."""
    import torch

    # Both gradients go through the same graph of log-probabilities, from a slope by hand and from autograd.
    slope = torch.from_numpy(outcome.slope)
    one = torch.autograd.grad(policy.now, policy.parameters, slope, retain_graph=True)
    other = torch.autograd.grad(step, policy.parameters, retain_graph=True)
    size = _norm(one)
    apart = _norm([x - y for x, y in zip(one, other, strict=True)])
    return Gap(form, _share(abs(outcome.loss - step.item()), outcome.size), _share(apart, size))


def _share(part: float, whole: float) -> float:
    """NaN for 0/0, which the rule takes for a gap."""
    return float(part / whole) if whole > 0 else float("nan")


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(np.sqrt(sum(x.square().sum().item() for x in tensors)))


def _weighted(rollouts: Rollouts, forest: Forest, aggregation: Aggregation) -> tuple[Floats, Floats]:
    """A_w(λ(i,t)) and w_i m_i of every token, by the package; A_w is 0 where no member is in the loss."""
    w = _package_weights(rollouts, aggregation)
    mean = step_means(forest, rollouts.advantages, w)
    return np.nan_to_num(expand(forest, mean)), w[rollouts.row]


def _package_weights(rollouts: Rollouts, aggregation: Aggregation) -> Floats:
    inside = np.where(rollouts.kept, rollouts.lengths, 0)
    return completion_weights(aggregation, inside, rollouts.limit) * rollouts.kept


def _step_loss(policy: Policy, advantages: Floats, w: Floats, *, beta: float = 0.0, ratio_in_kl: bool = True) -> Tensor:
    """The loss without clipping, every token with the advantage of its step."""
    from ..core.loss import policy_loss

    terms = _terms(w * np.maximum(advantages, 0), w * np.minimum(advantages, 0), w)
    return policy_loss(
        policy.now, policy.old, terms, clip_low=np.inf, clip_high=np.inf, beta=beta, reference=policy.reference,
        ratio_in_kl=ratio_in_kl,
    )  # fmt: skip


def _unique_loss(
    policy: Policy, rollouts: Rollouts, forest: Forest, aggregation: Aggregation, *, beta: float, ratio_in_kl: bool
) -> Tensor:
    """The clipped loss over unique tree tokens with sign-split sums; each is read in one completion that has it."""
    import torch

    from ..core.loss import policy_loss

    # Equal prefixes have equal log-probabilities, so any completion that has a token can stand for all of them.
    split = sign_split_sums(forest, rollouts.advantages, _package_weights(rollouts, aggregation))
    unit = unique_index(forest)
    reader = np.empty(int(forest.length.sum()), np.int64)
    reader[unit] = np.arange(len(unit))
    at = torch.from_numpy(reader)
    return policy_loss(
        policy.now[at], policy.old[at], _terms(*(np.repeat(x, forest.length) for x in split)), clip_low=CLIP[0],
        clip_high=CLIP[1], beta=beta, reference=policy.reference[at], ratio_in_kl=ratio_in_kl,
    )  # fmt: skip


def _sequence_step_loss(policy: Policy, old: Floats, rollouts: Rollouts, forest: Forest) -> Tensor:
    """GSPO with a step advantage for each token: its ratio has the value s_i and the gradient of the token alone."""
    import torch

    row, number = rollouts.row, len(rollouts.lengths)
    mean = np.bincount(row, policy.now.detach().numpy() - old, number) / np.maximum(rollouts.lengths, 1)
    advantages, w = _weighted(rollouts, forest, "grpo")
    ratio = torch.from_numpy(np.exp(mean)[row]) * (policy.now - policy.now.detach()).exp()
    return -(torch.from_numpy(w * advantages) * ratio).sum()


def _terms(plus: Floats, minus: Floats, weight: Floats) -> Terms:
    import torch

    from ..core.loss import Terms

    made = (torch.from_numpy(np.ascontiguousarray(x)) for x in (plus, minus, weight, np.ones_like(weight)))
    return Terms(*made)
