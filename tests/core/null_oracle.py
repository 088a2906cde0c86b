"""The permutation null by its definition: every permutation of small groups, in exact arithmetic, with sets and loops.

Copies of a text are one class; class means are permuted among the classes of one size, and each row keeps its
difference to the mean of its class (definitions: How sure). Nothing here is shared with the package. Comments that open
with "Reading:" mark what the definitions leave open.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations, permutations, product

from oracle import reward_interval, wilson, zero_variance
from oracle_sets import Group, Members, counted_sets, identical, kind, loss_tokens

STATISTICS = ("informativeness", "suppressed_good", "boosted_bad", "certain_share", "inherited", "leave_pair_out_auc")
Rewards = Sequence[Fraction]
Sums = dict[str, tuple[float, float]]  # numerator and denominator of each of `STATISTICS`

NEAR = Fraction(1, 10**9)
EPS = 1e-4


def classes(group: Group) -> list[list[int]]:
    """Rows with the same tokens."""
    same: dict[tuple[int, ...], list[int]] = {}
    for i, row in enumerate(group):
        same.setdefault(tuple(row.tokens), []).append(i)
    return list(same.values())


def rewards_of(group: Group) -> list[Fraction]:
    """The fractions that the rewards stand for: a float of 1/3 is 1/3."""
    return [Fraction(row.reward).limit_denominator(10**6) for row in group]


def mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction()) / len(values)


def permuted_rewards(group: Group, rewards: Rewards | None = None) -> Iterator[list[Fraction]]:
    """The rewards under every permutation, all equally likely; the first is the observed one."""
    rewards = rewards_of(group) if rewards is None else rewards
    every = classes(group)
    means = [mean([rewards[i] for i in rows]) for rows in every]
    sizes = sorted({len(rows) for rows in every})
    of_size = [[c for c, rows in enumerate(every) if len(rows) == size] for size in sizes]
    for orders in product(*(permutations(chosen) for chosen in of_size)):
        permuted = list(rewards)
        for chosen, order in zip(of_size, orders, strict=True):
            for to, source in zip(chosen, order, strict=True):
                for i in every[to]:
                    permuted[i] = means[source] + rewards[i] - means[to]
        yield permuted


# ---------------------------------------------------------------- the statistics of one group


def sums(group: Group, rewards: Rewards, binary: tuple[float, float] | None = None) -> Sums:
    """Numerator and denominator of every statistic for these rewards.

    Args:
        group: At least two rows; their own rewards are not looked at.
        rewards: One per row.
        binary: The two rewards of the log, if it has exactly two: certain share then has Wilson's intervals.
    """
    plain = [float(r) for r in rewards]
    tokens = [(i, members) for i, _, members in loss_tokens(group)]
    between = [(i, members) for i, members in tokens if kind(members, len(group)) == "intermediate"]
    signal = {} if zero_variance(plain) else _over_tokens(group, rewards, tokens, between)
    none = dict.fromkeys(("informativeness", "suppressed_good", "boosted_bad", "inherited"), (0.0, 0.0))
    sure = sum(certain(plain, members, binary) for _, members in between)
    return {
        **none,
        **signal,
        "certain_share": (sure, len(between)),
        "leave_pair_out_auc": ordered_pairs(group, rewards),
    }


def certain(rewards: Sequence[float], members: Members, binary: tuple[float, float] | None) -> bool:
    """The interval of R(λ) leaves mean(r) outside; never in a zero-variance group.

    Reading: where copies differ a permuted reward need not be one of the two, but R(λ), a mean of whole classes, is a
    share all the same.
    """
    if zero_variance(rewards):
        return False
    centre = math.fsum(rewards) / len(rewards)
    if binary is None:
        low, high = reward_interval(rewards, frozenset(members))
        return centre < low or centre > high
    bottom, top = binary
    share = (math.fsum(rewards[j] for j in members) / len(members) - bottom) / (top - bottom)
    low, high = wilson(share * len(members), len(members))
    return not low <= (centre - bottom) / (top - bottom) <= high


def _over_tokens(group: Group, rewards: Rewards, tokens: list, between: list) -> Sums:
    """The statistics that are sums over tokens, of a group whose rewards differ.

    Reading: A has the sign of R(λ) - mean(r), local(λ) that of R(λ) - R(parent), both exact here.
    """
    centre, std = mean(rewards), _std(rewards)
    far = {members: mean([rewards[j] for j in members]) - centre for _, members in tokens}
    far[frozenset(range(len(group)))] = Fraction()
    good = [members for i, members in tokens if rewards[i] > centre]
    bad = [members for i, members in tokens if rewards[i] < centre]
    telling = [members for _, members in between if not identical(group, members)]
    away = sum((abs(far[members]) for members in telling), Fraction())
    turned = sum(far[m] * (far[m] - _parent_mean(group, m, rewards, centre)) < 0 for m in telling)
    return {
        "informativeness": (float(away) / (std + EPS), len(telling)),
        "suppressed_good": (sum(far[members] < 0 for members in good), len(good)),
        "boosted_bad": (sum(far[members] > 0 for members in bad), len(bad)),
        "inherited": (turned, len(telling)),
    }


def _std(rewards: Rewards) -> float:
    centre = mean(rewards)
    return math.sqrt(sum((r - centre) ** 2 for r in rewards) / (len(rewards) - 1))


def _parent_mean(group: Group, members: Members, rewards: Rewards, centre: Fraction) -> Fraction:
    """R(parent) - mean(r). Reading: the parent is the next larger process set, with loss tokens or without."""
    first = min(members)
    above = []
    for t in range(len(group[first].tokens)):
        prefix = group[first].tokens[: t + 1]
        same = {j for j, row in enumerate(group) if len(row.tokens) > t and row.tokens[: t + 1] == prefix}
        if same > members:
            above.append(same)
    parent = min(above, key=len, default=set(range(len(group))))
    return mean([rewards[j] for j in parent]) - centre


def ordered_pairs(group: Group, rewards: Rewards) -> tuple[float, float]:
    """Leave-pair-out AUC: pairs that the scores order rightly (ties one half), and pairs.

    Reading: rewards that differ by less than 1e-9 are equal, as scores are. A set counts if any member has a loss token
    in it.
    """
    every = classes(group)
    own = {i: rows for rows in every for i in rows}
    sets = [members for members in counted_sets(group) if kind(members, len(group)) == "intermediate"]
    right = pairs = 0.0
    for i, j in combinations(range(len(group)), 2):
        if own[i] is own[j] or abs(rewards[i] - rewards[j]) < NEAR:
            continue
        others = set(range(len(group))) - {*own[i], *own[j]}
        deepest = [_deepest(sets, one, others) for one in (i, j)]
        if not any(deepest):
            continue
        scores = [mean([rewards[n] for n in sorted(members or others)]) for members in deepest]
        better, gap = rewards[i] - rewards[j], scores[0] - scores[1]
        pairs += 1
        right += 0.5 if abs(gap) < NEAR / 2 else float((gap > 0) == (better > 0))
    return right, pairs


def _deepest(sets: list[Members], one: int, others: set[int]) -> set[int]:
    """Members that copy neither, of the smallest set of `one` that has any; empty: no set has."""
    mine = [members & others for members in sorted(sets, key=len) if one in members]
    return next((set(members) for members in mine if members), set())


# ---------------------------------------------------------------- exact null distributions


Distribution = dict[tuple[float, float], float]  # numerator and denominator, with their probability


def null_distributions(group: Group, binary: tuple[float, float] | None = None) -> dict[str, Distribution]:
    """Every statistic of one group under every permutation."""
    every = [sums(group, permuted, binary) for permuted in permuted_rewards(group)]
    counts = {name: Counter(_rounded(one[name]) for one in every) for name in STATISTICS}
    return {name: {pair: n / len(every) for pair, n in found.items()} for name, found in counts.items()}


def _rounded(pair: tuple[float, float]) -> tuple[float, float]:
    return round(float(pair[0]), 9), float(pair[1])


def null_distribution(group: Group, name: str, binary: tuple[float, float] | None = None) -> Distribution:
    return null_distributions(group, binary)[name]


def null_mean(group: Group, name: str, binary: tuple[float, float] | None = None) -> tuple[float, float]:
    """Exact mean of numerator and denominator over the permutations."""
    every = null_distribution(group, name, binary).items()
    top, bottom = (math.fsum(value[place] * share for value, share in every) for place in (0, 1))
    return top, bottom


def exact_p(group: Group, name: str, binary: tuple[float, float] | None = None) -> float | None:
    """P(statistic of one group >= the observed one) over all permutations; None for 0/0 of the observed."""
    top, bottom = sums(group, rewards_of(group), binary)[name]
    if not bottom:
        return None
    every = null_distribution(group, name, binary)
    return math.fsum(share for (a, b), share in every.items() if b and a / b >= top / bottom - 1e-9)
