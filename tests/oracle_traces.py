"""Slow definitions of sharing, of groups that teach nothing, and of what logged log-probabilities say.

Groups come as `oracle.Analysed`. Comments that open with "Reading:" mark what the definitions leave open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from oracle_sets import Group, Members, in_loss, mean, process_set, ratio

LOWEST, HIGHEST = -745.0, 1e-3  # e^-746 is 0 in float64, and e^.001 is more than rounding explains


# ---------------------------------------------------------------- sharing


def prefixes(group: Group) -> set[tuple[int, ...]]:
    """Every token of the tree, as the prefix that ends with it, whether or not it is in the loss."""
    return {tuple(row.tokens[: t + 1]) for row in group for t in range(len(row.tokens))}


def tokens_per_unique(groups: Sequence[Group]) -> float | None:
    return ratio(sum(len(row.tokens) for g in groups for row in g), sum(len(prefixes(g)) for g in groups))


def tokens_per_unique_with_prompt(groups: Sequence[Group], prompts: Sequence[int | None]) -> float | None:
    """The prompt once a group beside k times. Reading: a group whose prompt has no known length is left out."""
    known = [(g, p) for g, p in zip(groups, prompts, strict=True) if p is not None]
    every = sum(p + len(row.tokens) for g, p in known for row in g)
    return ratio(every, sum(p + len(prefixes(g)) for g, p in known))


# ---------------------------------------------------------------- groups that teach nothing


def teaching(groups: Sequence[Any], outcome: str | None) -> dict:
    """Reading: in a log of two rewards `equal` counts what is neither all right nor all wrong (rewards 1e-7 apart)."""
    rewards = sorted({r for g in groups for r in g.rewards if r is not None})
    right = wrong = None
    if len(rewards) == 2:
        right = sum(all(r == rewards[1] for r in g.rewards) for g in groups)
        wrong = sum(all(r == rewards[0] for r in g.rewards) for g in groups)
    return {
        "all_right": right,
        "all_wrong": wrong,
        "equal": sum(g.zero for g in groups) - (right or 0) - (wrong or 0),
        "phantom_advantage": phantom_advantage(groups, outcome),
    }


def phantom_advantage(groups: Sequence[Any], outcome: str | None) -> float | None:
    """Their share of Σ |a|. Reading: a group in which a completion has no outcome is left out."""
    phantom, total = [], []
    for g in groups:
        outcomes = [None if row.parts is None else row.parts.get(outcome) for row in g.rows]
        if None in outcomes:
            continue
        total += map(abs, g.a)
        if max(outcomes) - min(outcomes) <= 1e-6 * max(1.0, *map(abs, outcomes)):
            phantom += map(abs, g.a)
    return ratio(math.fsum(phantom), math.fsum(total))


# ---------------------------------------------------------------- log-probabilities


def parent_set(group: Group, i: int, t: int) -> Members:
    """Who shares the prefix before token t of completion i, those that end there too."""
    before = group[i].tokens[:t]
    return frozenset(j for j, row in enumerate(group) if row.tokens[:t] == before)


def follows_a_decision(group: Group, i: int, t: int) -> bool:
    """Are there two children or more behind the prefix before it? Those that end there are one child.

    Reading: decisions of groups of equal rewards count here, since log-probabilities do not depend on rewards.
    """
    children = {group[j].tokens[t] if len(group[j].tokens) > t else "end" for j in parent_set(group, i, t)}
    return len(children) > 1


class Token(NamedTuple):
    """A loss token: completion, position, its process set and its log-probability, None where there is none to use."""

    i: int
    t: int
    members: Members
    x: float | None
    second: float | None


def usable(values: Sequence[float] | None, t: int) -> float | None:
    return values[t] if values is not None and LOWEST <= values[t] <= HIGHEST else None


def loss_tokens(group: Group) -> Iterator[Token]:
    for i, row in enumerate(group):
        for t in range(len(row.tokens)):
            if in_loss(row, t):
                second = usable(row.trainer_logprobs, t)
                yield Token(i, t, process_set(group, i, t), usable(row.logprobs, t), second)


def with_column(groups: Sequence[Any], *names: str) -> list[Any]:
    """Reading: a group in which a completion has tokens and no list is left out."""
    return [g for g in groups if all(getattr(row, n) is not None or not row.tokens for row in g.rows for n in names)]


def covariance(pairs: Sequence[tuple[float, float]]) -> float | None:
    if not pairs:
        return None
    x, a = (math.fsum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return math.fsum((u - x) * (v - a) for u, v in pairs) / len(pairs)


def share_at(flags: Sequence[bool], pairs: Sequence[tuple[float, float]]) -> float | None:
    """Share of the sum of products of deviations. Reading: none where the sum is 0 but for rounding."""
    if not pairs:
        return None
    x, a = (math.fsum(column) / len(pairs) for column in zip(*pairs, strict=True))
    products = [(u - x) * (v - a) for u, v in pairs]
    if abs(math.fsum(products)) < 1e-9:
        return None
    return math.fsum(p for p, flag in zip(products, flags, strict=True) if flag) / math.fsum(products)


def logprobs(groups: Sequence[Any]) -> dict:
    known = with_column(groups, "logprobs")
    tokens = [(g, token) for g in known for token in loss_tokens(g.rows)]
    used = [(g, token) for g, token in tokens if token.x is not None]
    pairs = [(token.x, g.step_advantage(token.members)) for g, token in used]
    flags = [follows_a_decision(g.rows, token.i, token.t) for g, token in used]
    other = [
        not flag and len(parent_set(g.rows, token.i, token.t)) > 1 for flag, (g, token) in zip(flags, used, strict=True)
    ]
    return {
        "surprisal_at_decisions": mean(-token.x for flag, (_, token) in zip(flags, used, strict=True) if flag),
        "surprisal_elsewhere": mean(-token.x for flag, (_, token) in zip(other, used, strict=True) if flag),
        "covariance": covariance(pairs),
        "covariance_at_decisions": covariance([pair for pair, flag in zip(pairs, flags, strict=True) if flag]),
        "covariance_share_at_decisions": share_at(flags, pairs),
        "left_out": len(tokens) - len(used) if tokens else None,
        **sampler_and_trainer(groups),
    }


def weights(gaps: Sequence[float]) -> float | None:
    """Effective sample size. Reading: a difference beyond 300 counts as 300, or -300."""
    w = [math.exp(min(max(gap, -300.0), 300.0)) for gap in gaps]
    return ratio(math.fsum(w) ** 2, math.fsum(x * x for x in w) * len(w)) if w else None


def sampler_and_trainer(groups: Sequence[Any]) -> dict:
    tokens = [t for g in with_column(groups, "logprobs", "trainer_logprobs") for t in loss_tokens(g.rows)]
    pairs = [(len(t.members), t.second - t.x) for t in tokens if t.x is not None and t.second is not None]
    gaps = [gap for _, gap in pairs]
    bins = [(1, 1), (2, 2)] + [(2 ** (n - 1) + 1, 2**n) for n in range(2, 12)]
    by_size = []
    for low, high in bins:
        own = [gap for size, gap in pairs if low <= size <= high]
        if own:
            name = str(low) if low == high else f"{low}-{high}"
            largest = max(map(abs, own))
            row = {"size": name, "tokens": len(own), "effective_sample_size": weights(own), "largest_gap": largest}
            by_size.append(row)
    return {
        "effective_sample_size": weights(gaps),
        "largest_gap": max(map(abs, gaps), default=None),
        "gap_left_out": len(tokens) - len(pairs) if tokens else None,
        "by_size": by_size,
    }
