"""How far the outcome form and the step form of GRPO's loss and gradient are apart, in float64 (SPEC: Theorem 1).

The outcome form is written out token by token from the definition, its derivative by hand. The step form comes from
what the package trains and analyses with: the forest, step means, sign-split sums and the loss over units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..forest import Floats, Forest, Ints, build_forest, expand, unique_index
from ..prm import Aggregation, Bools, completion_weights, group_advantages, sign_split_sums, step_means

if TYPE_CHECKING:
    from torch import Tensor

AGGREGATIONS: tuple[Aggregation, ...] = ("dapo", "bnpo", "grpo", "dr_grpo")
CLIP = (0.2, 0.28)
BETA = 0.1
NOISE = 0.1  # of log-probabilities, one number for each completion
THEOREM, SEQUENCE_ON = "Theorem 1", "ratio of a whole sequence, on-policy"
SEQUENCE_OFF, BY_ROW, DROPOUT = "ratio of a whole sequence, off-policy", "old probabilities by row", "dropout"
CONTROLS = (SEQUENCE_OFF, BY_ROW, DROPOUT)


class Rollouts(NamedTuple):
    """An optimizer step.

    Attributes:
        tokens: Ids, completion after completion, shape (tokens,).
        lengths: Tokens of each completion, shape (completions,).
        groups: Dense group of each completion, shape (completions,).
        rewards: r, shape (completions,).
        kept: False for truncated completions, which are out of the loss, shape (completions,).
        limit: Largest number of completion tokens.
    """

    tokens: Ints
    lengths: Ints
    groups: Ints
    rewards: Floats
    kept: Bools
    limit: int

    @property
    def row(self) -> Ints:
        """Completion of each token, shape (tokens,)."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @property
    def advantages(self) -> Floats:
        """a, shape (completions,)."""
        return group_advantages(self.rewards, self.groups)

    def weights(self, aggregation: Aggregation) -> Floats:
        """w_i m_i, written out from SPEC's definition, shape (completions,)."""
        rows, inside = len(self.lengths), np.where(self.kept, self.lengths, 0)
        if aggregation in ("dapo", "bnpo"):
            normaliser = np.full(rows, inside.sum())
        else:
            normaliser = rows * (np.maximum(inside, 1) if aggregation == "grpo" else np.full(rows, self.limit))
        return self.kept / normaliser

    @property
    def telling(self) -> bool:
        """Some step holds completions in the loss that are better and others that are worse: else nothing is tested."""
        split = sign_split_sums(self.forest(), self.advantages, self.kept.astype(float))
        return bool(((split.plus > 0) & (split.minus < 0) & (self.forest().length > 0)).any())

    def forest(self) -> Forest:
        """Its trees."""
        return build_forest(self.tokens, self.lengths, self.groups)


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
    """|L - L'| / Σ |terms of L|, and |g - g'| / |g|."""

    form: str
    loss: float
    gradient: float


class Form(NamedTuple):
    """Outcome form: the loss, Σ |terms|, and its derivative by each token's log-probability, shape (tokens,)."""

    loss: float
    size: float
    slope: Floats


def outcome_form(
    now: Floats,
    old: Floats,
    reference: Floats,
    a: Floats,
    w: Floats,
    *,
    clip: tuple[float, float] | None = None,
    beta: float = 0.0,
    ratio_in_kl: bool = False,
) -> Form:
    """-Σ w (min(P a, clip(P) a) - β D P^b) over tokens, each with the advantage of its completion.

    Args:
        now: Log-probabilities of the policy, shape (tokens,); the others likewise.
        old: Of the policy at the start of the update.
        reference: Of the reference.
        a: Advantage.
        w: Weight, the mask in it.
        clip: ε_lo and ε_hi; None: no clipping.
        beta: β.
        ratio_in_kl: b is 1.
    """
    low, high = (1 - clip[0], 1 + clip[1]) if clip else (0.0, np.inf)
    ratio, q = np.exp(now - old), reference - now
    gain = np.minimum(ratio * a, np.clip(ratio, low, high) * a)
    held = ((a > 0) & (ratio > high)) | ((a < 0) & (ratio < low))
    slope = np.where(held, 0.0, ratio * a)
    kl, kl_slope = np.exp(q) - q - 1, 1 - np.exp(q)
    if ratio_in_kl:
        kl, kl_slope = kl * ratio, (kl_slope + kl) * ratio
    terms = w * (gain - beta * kl)
    return Form(-terms.sum(), np.abs(terms).sum(), -w * (slope - beta * kl_slope))


def sequence_outcome_form(now: Floats, old: Floats, rollouts: Rollouts) -> Form:
    """-Σ_i m_i s_i a_i / rows with s_i = exp(mean over t of now - old): GSPO without clipping."""
    row, number = rollouts.row, len(rollouts.lengths)
    length = np.maximum(rollouts.lengths, 1)
    s = np.exp(np.bincount(row, now - old, number) / length)
    terms = rollouts.kept * (rollouts.lengths > 0) * s * rollouts.advantages / number
    return Form(-terms.sum(), np.abs(terms).sum(), -(terms / length)[row])


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
    kl = {"beta": BETA, "ratio_in_kl": ratio_in_kl}
    even = np.full(len(row), 1 / len(row))
    step = _step_loss(policy, expand(forest, step_means(forest, a)), even, **kl)
    found = [compare(THEOREM, policy, outcome_form(now, old, reference, a[row], even, **kl), step)]
    for aggregation in AGGREGATIONS:
        w = rollouts.weights(aggregation)
        outcome = outcome_form(now, old, reference, a[row], w[row], **kl)
        step = _step_loss(policy, *_weighted(rollouts, forest, aggregation), **kl)
        found.append(compare(f"weighted, {aggregation}", policy, outcome, step))
        outcome = outcome_form(now, old, reference, a[row], w[row], clip=CLIP, **kl)
        step = _unique_loss(policy, rollouts, forest, aggregation, **kl)
        found.append(compare(f"clipped, {aggregation}", policy, outcome, step))
    for name, start in ((SEQUENCE_ON, now), (SEQUENCE_OFF, old)):
        step = _sequence_step_loss(policy, start, rollouts, forest)
        found.append(compare(name, policy, sequence_outcome_form(now, start, rollouts), step))
    return [*found, row_gap(BY_ROW, rollouts, policy, old + NOISE * noise[row])]


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

    slope = torch.from_numpy(outcome.slope)
    one = torch.autograd.grad(policy.now, policy.parameters, slope, retain_graph=True)
    other = torch.autograd.grad(step, policy.parameters, retain_graph=True)
    size = _norm(one)
    apart = _norm([x - y for x, y in zip(one, other, strict=True)])
    return Gap(form, abs(outcome.loss - step.item()) / outcome.size, apart / size)


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
    from ..loss import policy_loss

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

    from ..loss import policy_loss

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


def _terms(plus: Floats, minus: Floats, weight: Floats) -> NamedTuple:
    import torch

    from ..loss import Terms

    return Terms(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (plus, minus, weight, np.ones_like(weight))))


Sampler = Callable[[np.random.Generator], Rollouts]
WORDS, LONGEST = 4, 10
REWARDS: tuple[NDArray[np.float64], ...] = (
    np.array([0.0, 1.0]), np.array([-1.0, 0.7, 1.0]), np.array([0.0, 0.1, 1 / 3, 0.5, 1.0, -2.0]), np.array([0.7]),
)  # fmt: skip


def invented_rollouts(rng: np.random.Generator) -> Rollouts:
    """Groups with ties, duplicates, strict prefixes, empty completions and equal rewards; some step is contested."""
    while True:
        rows, rewards, groups = [], [], []
        for group in range(int(rng.integers(3, 7))):
            some = _completions(rng, int(rng.integers(2, 9)))
            rows += some
            rewards += rng.choice(REWARDS[rng.integers(len(REWARDS))], len(some)).tolist()
            groups += [group] * len(some)
        tokens = np.array([token for row in rows for token in row], np.int64)
        lengths = np.array([len(row) for row in rows], np.int64)
        made = Rollouts(
            tokens, lengths, np.array(groups), np.array(rewards), rng.random(len(rows)) > 0.15, LONGEST
        )  # fmt: skip
        if made.telling:
            return made


def _completions(rng: np.random.Generator, k: int) -> list[list[int]]:
    rows: list[list[int]] = [rng.integers(0, WORDS, rng.integers(0, LONGEST + 1)).tolist()]
    while len(rows) < k:
        base = rows[rng.integers(len(rows))]
        how = rng.choice(["fresh", "copy", "prefix", "branch"], p=[0.15, 0.15, 0.2, 0.5])
        kept = {"fresh": [], "copy": base, "prefix": base[: rng.integers(0, len(base) + 1)]}.get(how)
        if kept is None:
            kept = base[: rng.integers(0, len(base) + 1)]
        more = rng.integers(0, WORDS, rng.integers(1, LONGEST + 1)).tolist() if how in ("fresh", "branch") else []
        rows.append([*kept, *more][:LONGEST])
    return rows


def tabular_policy(rollouts: Rollouts, rng: np.random.Generator, drift: float = 0.3) -> Policy:
    """A softmax with logits of its own behind every prefix: normal, those of old policy and reference off by `drift`."""
    import torch

    nodes: dict[tuple[int, ...], int] = {}
    place, begin = [], 0
    for group, length in zip(rollouts.groups.tolist(), rollouts.lengths.tolist(), strict=True):
        row = rollouts.tokens[begin : begin + length].tolist()
        place += [nodes.setdefault((group, *row[:t]), len(nodes)) for t in range(length)]
        begin += length
    at, token = torch.tensor(place), torch.from_numpy(rollouts.tokens)
    logits = torch.from_numpy(rng.normal(size=(len(nodes), WORDS))).requires_grad_()
    others = [logits.detach() + torch.from_numpy(drift * rng.normal(size=logits.shape)) for _ in range(2)]
    now, old, reference = (x.log_softmax(-1)[at, token] for x in (logits, *others))
    return Policy(now, old, reference, [logits])
