"""Theorem 1 and the losses of GRPO and λ-GRPO as plain double loops, once over completions and once over tree tokens.

`P` and `D` map a prefix (a tuple of token ids, the token itself last) to the probability ratio and the KL term.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from oracle import sign_sums
from oracle_sets import Group, Members, in_loss, loss_tokens, mean, process_set, unique_loss_tokens

Prefix = tuple[int, ...]
Factor = Callable[[int, int], float]


def prefix(group: Group, i: int, t: int) -> Prefix:
    return tuple(group[i].tokens[: t + 1])


def loss_length(group: Group, i: int) -> int:
    return sum(in_loss(group[i], t) for t in range(len(group[i].tokens)))


def aggregation_weights(batch: Sequence[Group], loss_type: str, limit: int | None = None) -> list[list[float]]:
    """w_i, normaliser included, of every completion of an optimizer step. Rows are all rows, masked ones too."""
    rows = sum(len(group) for group in batch)
    tokens = sum(loss_length(group, i) for group in batch for i in range(len(group)))

    def weight(group: Group, i: int) -> float:
        if loss_type in ("dapo", "bnpo"):
            return 1.0 / tokens if tokens else 0.0
        if loss_type == "grpo":
            return 1.0 / (rows * max(1, loss_length(group, i)))
        if loss_type == "dr_grpo":
            return 1.0 / (rows * limit)
        raise ValueError(loss_type)

    return [[weight(group, i) for i in range(len(group))] for group in batch]


def theorem_one(
    group: Group, a: Sequence[float], P: Mapping[Prefix, float], D: Mapping[Prefix, float], beta: float
) -> tuple[float, float]:
    """Both sides of Theorem 1, all tokens in the loss: advantages of completions, advantages of process sets."""
    left, right = [], []
    for i, row in enumerate(group):
        for t in range(len(row.tokens)):
            u, members = prefix(group, i, t), process_set(group, i, t)
            of_set = math.fsum(a[j] for j in members) / len(members)
            left.append(P[u] * a[i] - beta * D[u])
            right.append(P[u] * of_set - beta * D[u])
    return math.fsum(left), math.fsum(right)


def weighted_mean_advantage(
    group: Group, members: Members, t: int, a: Sequence[float], w: Sequence[float]
) -> tuple[float, float]:
    """A_w(λ) at position t and the total weight W there; A_w is 0 where W is."""
    having = [j for j in members if in_loss(group[j], t)]
    total = math.fsum(w[j] for j in having)
    return (math.fsum(w[j] * a[j] for j in having) / total if total else 0.0), total


def size_factor(group: Group, p: float) -> Factor:
    """|λ(i,t)|^-p."""
    return lambda i, t: len(process_set(group, i, t)) ** -p


def parent_factor(group: Group, p: float) -> Factor:
    """|λ(i,t-1)|^-p: how many reached the decision at t; all k at t = 0."""
    return lambda i, t: (len(process_set(group, i, t - 1)) if t else len(group)) ** -p


def position_factor(group: Group, p: float, w: Sequence[float]) -> Factor:
    """The w-weighted mean of |λ|^-p over the completions alive at position t.

    Reading: alive is to have a loss token there, or the total would not be the same.
    """

    def factor(_: int, t: int) -> float:
        alive = [j for j in range(len(group)) if in_loss(group[j], t)]
        total = math.fsum(w[j] for j in alive)
        return math.fsum(w[j] * size_factor(group, p)(j, t) for j in alive) / total if total else 0.0

    return factor


def loss_over_completions(
    group: Group,
    a: Sequence[float],
    w: Sequence[float],
    P: Mapping[Prefix, float],
    D: Mapping[Prefix, float],
    factor: Factor,
    beta: float = 0.0,
    clip: tuple[float, float] | None = None,
    kl_ratio: bool = False,
) -> float:
    """-Σ_i Σ_t w_i m_it f(i,t) (min(P a_i, clip(P, 1-ε_lo, 1+ε_hi) a_i) - β D P^b); `clip` (ε_lo, ε_hi)."""
    low, high = (1 - clip[0], 1 + clip[1]) if clip else (-math.inf, math.inf)
    terms = []
    for i, t, _ in loss_tokens(group):
        u = prefix(group, i, t)
        clipped = min(max(P[u], low), high)
        kl = beta * D[u] * (P[u] if kl_ratio else 1.0)
        terms.append(w[i] * factor(i, t) * (min(P[u] * a[i], clipped * a[i]) - kl))
    return -math.fsum(terms)


def loss_over_tree(
    group: Group,
    a: Sequence[float],
    w: Sequence[float],
    P: Mapping[Prefix, float],
    D: Mapping[Prefix, float],
    factor: Factor,
    beta: float = 0.0,
    clip: tuple[float, float] | None = None,
    kl_ratio: bool = False,
) -> float:
    """-Σ_u f_u (min(P, 1+ε_hi) S⁺ + max(P, 1-ε_lo) S⁻ - β W D P^b) over unique tree tokens, each once."""
    low, high = (1 - clip[0], 1 + clip[1]) if clip else (-math.inf, math.inf)
    terms = []
    for (members, t), having in unique_loss_tokens(group).items():
        u = prefix(group, having[0], t)
        plus, minus = sign_sums(group, members, t, a, w)
        total = math.fsum(w[j] for j in having)
        kl = beta * total * D[u] * (P[u] if kl_ratio else 1.0)
        terms.append(factor(having[0], t) * (min(P[u], high) * plus + max(P[u], low) * minus - kl))
    return -math.fsum(terms)


def matched_scale(
    batch: Sequence[Group], a: Sequence[Sequence[float]], w: Sequence[Sequence[float]], p: float
) -> float:
    """s_a(p) = Σ w |λ|^-p |a| / Σ w |a| over the loss tokens of a step; 1 where no token has an advantage."""
    above, below = [], []
    for group, a_group, w_group in zip(batch, a, w, strict=True):
        for i, _, members in loss_tokens(group):
            below.append(w_group[i] * abs(a_group[i]))
            above.append(below[-1] * len(members) ** -p)
    return math.fsum(above) / math.fsum(below) if any(below) else 1.0


def plain_scale(batch: Sequence[Group], p: float) -> float | None:
    """s(p): the mean of |λ|^-p over the loss tokens."""
    return mean(len(members) ** -p for group in batch for _, _, members in loss_tokens(group))
