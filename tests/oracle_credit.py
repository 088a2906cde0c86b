"""Slow definitions of what the hidden PRM knows: local advantage, reliability, leave-pair-out AUC, decisions.

Comments that open with "Reading:" mark what the definitions leave open and what is taken here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import combinations
from statistics import variance

from oracle_rewards import Analysed, finite, group_advantages, tolerance, zero_variance
from oracle_sets import (
    Group,
    Members,
    counted_sets,
    identical,
    in_loss,
    intermediate_tokens,
    kind,
    mean,
    parent,
    process_set,
    process_sets,
    ratio,
)


def local_advantage(g: Analysed, members: Members) -> float:
    """A of the set less A of the smallest set above it, 0 within the tolerance."""
    steps = process_sets(g.rows)
    above = parent(steps, next(step for step in steps if step.members == members))
    value = g.step_advantage(members) - g.step_advantage(above.members)
    return value if abs(value) > g.tol else 0.0


def inherited_tokens(g: Analysed) -> int:
    """Intermediate tokens, those of identical sets left out, whose A and local advantage have opposite signs."""
    if g.zero:
        return 0
    own = [members for _, _, members in intermediate_tokens(g.rows) if not identical(g.rows, members)]
    return sum(g.step_advantage(members) * local_advantage(g, members) < 0 for members in own)


def inherited(groups: Sequence[Analysed]) -> float | None:
    """Pooled, of the same tokens as mean |A|."""
    sets = [(g, members) for g in groups if not g.zero for _, _, members in intermediate_tokens(g.rows)]
    tokens = sum(not identical(g.rows, members) for g, members in sets)
    return ratio(sum(inherited_tokens(g) for g in groups), tokens)


def step_noise(a: Sequence[float], members: Members) -> float:
    """(1 - n/k)² (s²_in / n + s²_out / (k - n)), s_in for s_out where one completion is outside."""
    inside = [a[j] for j in sorted(members)]
    outside = [a[j] for j in range(len(a)) if j not in members]
    s_in = variance(inside)
    s_out = variance(outside) if len(outside) > 1 else s_in
    return (len(outside) / len(a)) ** 2 * (s_in / len(inside) + s_out / len(outside))


def reliability_sums(g: Analysed) -> tuple[float, float]:
    """Σ T A² and Σ T (A² - noise) over the intermediate tokens, each completion's own; 0 in a zero-variance group."""
    sets = [] if g.zero else [members for _, _, members in intermediate_tokens(g.rows)]
    squares = [g.step_advantage(members) ** 2 for members in sets]
    noise = [step_noise(g.a, members) for members in sets]
    return math.fsum(squares), math.fsum(squares) - math.fsum(noise)


def reliability(groups: Sequence[Analysed]) -> float | None:
    pairs = [reliability_sums(g) for g in groups]
    return ratio(math.fsum(reliable for _, reliable in pairs), math.fsum(squared for squared, _ in pairs))


def texts_once_sums(g: Analysed, std: str | None) -> tuple[float, float]:
    """The same of the group with each distinct text once, its reward the mean of its copies; `std` None: logged.

    Reading: a token of a text is in the loss as far as its copies have it there; advantages that no divisor of the
    group made are the mean of the copies, and in a group that is not centred A keeps the group's mean.
    """
    texts: dict[tuple[int, ...], list[int]] = {}
    for j, row in enumerate(g.rows):
        texts.setdefault(tuple(row.tokens), []).append(j)
    if g.zero or len(texts) == len(g.rows):
        return reliability_sums(g)
    once = [g.rows[some[0]] for some in texts.values()]
    a = [mean(g.a[j] for j in some) for some in texts.values()]
    if std in ("sample", "population") and len(finite(g.rewards)) == len(g.rows):
        a = group_advantages([mean(g.rewards[j] for j in some) for some in texts.values()], std)
    a = [x - mean(a) for x in a]
    kept = 0.0 if g.centred else mean(g.a)
    squares, noise = [], []
    for i, some in enumerate(texts.values()):
        for t in range(len(once[i].tokens)):
            members = process_set(once, i, t)
            if kind(members, len(once)) == "intermediate":
                share = mean(float(in_loss(g.rows[j], t)) for j in some)
                value = mean(a[j] for j in members) + kept
                squares.append(share * value**2 if abs(value) > g.tol else 0.0)
                noise.append(share * step_noise(a, members))
    return math.fsum(squares), math.fsum(squares) - math.fsum(noise)


def reliability_texts_once(groups: Sequence[Analysed], std: str | None) -> float | None:
    pairs = [texts_once_sums(g, std) for g in groups]
    return ratio(math.fsum(reliable for _, reliable in pairs), math.fsum(squared for squared, _ in pairs))


# ---------------------------------------------------------------- leave-pair-out AUC


def copies(group: Group, i: int) -> Members:
    return frozenset(j for j, row in enumerate(group) if row.tokens == group[i].tokens)


def pair_score(group: Group, values: Sequence[float], i: int, pair: Members) -> tuple[float | None, bool]:
    """Score of completion i, and whether a set gives it; `pair`: both completions with all their copies.

    Reading: a set counts if any member has a loss token in it; a score of no rows at all is None.
    """
    sets = [s for s in counted_sets(group) if kind(s, len(group)) == "intermediate" and i in s and s - pair]
    chosen = min(sets, key=len, default=frozenset(range(len(group))))
    return mean(values[j] for j in chosen - pair), bool(sets)


def pair_order(
    group: Group, values: Sequence[float], tol: float, score: Callable[..., tuple[float | None, bool]] = pair_score
) -> tuple[float, int]:
    """Pairs of one group in the right order, ties one half, and pairs that count; `score` as `pair_score`.

    Reading: values are unequal beyond `tol`; differences of scores are rounded to 1e-9 max(1, max |value|).
    """
    right, counted = 0.0, 0
    for i, j in combinations(range(len(group)), 2):
        if group[i].tokens == group[j].tokens or abs(values[i] - values[j]) <= tol:
            continue
        pair = copies(group, i) | copies(group, j)
        (one, has_one), (other, has_other) = (score(group, values, x, pair) for x in (i, j))
        if has_one or has_other:
            scale = max(1.0, *map(abs, values))
            difference = round((one - other) / scale, 9) * (1 if values[i] > values[j] else -1)
            counted += 1
            right += 1.0 if difference > 0 else 0.5 if difference == 0 else 0.0
    return right, counted


def leave_pair_out_auc(groups: Sequence[Analysed]) -> float | None:
    """Pooled over the groups that are not zero-variance. Reading: without rewards the advantages are ordered."""
    pairs = [
        pair_order(g.rows, g.rewards, tolerance(g.rewards))
        if len(finite(g.rewards)) == len(g.rows)
        else pair_order(g.rows, g.a, g.tol)
        for g in groups
        if not g.zero
    ]
    return ratio(math.fsum(right for right, _ in pairs), sum(counted for _, counted in pairs))


# ---------------------------------------------------------------- decisions


def decision_tables(texts: Sequence[Sequence[int]], values: Sequence[float]) -> dict[Members, list[list[float]]]:
    """Every process set with two or more children, and the values of the distinct texts of each child.

    Completions that end there are one child together. Copies count once, by the mean of their values. Values that
    differ by less than 1e-9 are one.
    """
    if zero_variance(values):
        return {}
    texts = [tuple(text) for text in texts]
    value = {
        t: round(math.fsum(copies := [v for u, v in zip(texts, values, strict=True) if u == t]) / len(copies), 9)
        for t in texts
    }
    tables = {}
    for length in range(max(map(len, texts)) + 1):
        for prefix in {text[:length] for text in texts if len(text) >= length}:
            members = frozenset(j for j, text in enumerate(texts) if text[:length] == prefix)
            children: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
            for j in members:
                children.setdefault(texts[j][length : length + 1], set()).add(texts[j])  # () is: ends here
            if len(children) > 1:
                tables[members] = [[value[text] for text in child] for child in children.values()]
    return tables


def arrangements(counts: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """All orders of so many 0s, 1s, ...: each is as likely as any other when equal values are told apart."""
    if not any(counts):
        yield ()
    for value, count in enumerate(counts):
        if count:
            rest = (*counts[:value], count - 1, *counts[value + 1 :])
            yield from ((value, *more) for more in arrangements(rest))


def decision_p(table: Sequence[Sequence[float]]) -> tuple[float, float]:
    """p of a decision and the least p of its margins: all ways to give its values to its texts, each as likely."""
    values = [value for child in table for value in child]
    return _decision_p(tuple(map(len, table)), tuple(sorted(set(values)).index(value) for value in values))


@cache
def _decision_p(sizes: tuple[int, ...], items: tuple[int, ...]) -> tuple[float, float]:
    counts = tuple(items.count(value) for value in range(max(items) + 1))
    twice_rank = [2 * sum(counts[:value]) + count + 1 for value, count in enumerate(counts)]
    ends = list(itertools.accumulate(sizes, initial=0))

    def of_children(arranged: Sequence[int]) -> list[Sequence[int]]:
        return [arranged[begin:end] for begin, end in itertools.pairwise(ends)]

    def probability(arranged: Sequence[int]) -> int:  # of the 2 x C table, times a constant
        return math.prod(math.comb(len(child), sum(child)) for child in of_children(arranged))

    def kruskal(arranged: Sequence[int]) -> int:  # times a constant; more extreme is less
        whole = math.lcm(*sizes)
        return -sum(sum(twice_rank[v] for v in child) ** 2 * (whole // len(child)) for child in of_children(arranged))

    if len(counts) == 1:
        return 1.0, 1.0
    extreme = probability if len(counts) == 2 else kruskal
    found, mine = [extreme(arranged) for arranged in arrangements(counts)], extreme(items)
    return sum(x <= mine for x in found) / len(found), found.count(min(found)) / len(found)


def credit(groups: Sequence[Analysed], std: str | None) -> dict:
    """Sure: the largest r of which r decisions that could be sure have p <= .05 r / number of those that could be."""
    tests = []
    for g in groups:
        if not g.zero:
            values = g.rewards if len(finite(g.rewards)) == len(g.rows) else g.a
            tests += [decision_p(table) for table in decision_tables([row.tokens for row in g.rows], values).values()]
    could = sorted(p for p, least in tests if least <= 0.05 + 1e-12)
    reached = [r for r in range(1, len(could) + 1) if could[r - 1] <= 0.05 * r / len(could) + 1e-12]
    return {
        "reliability": reliability(groups),
        "reliability_texts_once": reliability_texts_once(groups, std),
        "leave_pair_out_auc": leave_pair_out_auc(groups),
        "inherited": inherited(groups),
        "decisions": len(tests),
        "decidable": len(could),
        "sure_decisions": max(reached, default=0),
    }
