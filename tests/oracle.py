"""The slow, obviously right definitions: every figure of an analysis from plain rows, with dictionaries and loops.

Nothing here is shared with the package. A log is a list of (run, step, group_key, rows).
Comments that open with "Reading:" mark what the definitions leave open and what is taken here.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import combinations
from statistics import variance
from typing import NamedTuple

import numpy as np
import oracle_traces as traces
from oracle_sets import (
    Group,
    Members,
    Row,
    counted_sets,
    four_statistics,
    identical,
    identical_share,
    in_loss,
    intermediate_tokens,
    kind,
    loss_tokens,
    mean,
    parent,
    present,
    process_sets,
    ratio,
    unique_loss_tokens,
)
from scipy.stats import t as student_t

__all__ = ["Group", "Log", "Members", "Row", "analysed", "summary"]

Log = Sequence[tuple[str, "int | None", str, Group]]
EPS = 1e-4
Z = 1.96
POWERS = {"0.5": 0.5, "1": 1.0}


# ---------------------------------------------------------------- rewards and advantages


def finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def zero_variance(rewards: Sequence[float | None]) -> bool:
    r = finite(rewards)
    return len(r) < 2 or max(r) - min(r) <= 1e-6 * max(1.0, *(abs(x) for x in r))


def group_advantages(
    rewards: Sequence[float | None], std: str = "sample", batch: Sequence[float | None] = ()
) -> list[float]:
    """(r - mean) / (std + eps). `batch`: all rewards of the step, for std "batch".

    Reading: `none` divides by 1, no eps; `batch` is the sample standard deviation of the step's rewards.
    """
    if zero_variance(rewards):
        return [0.0] * len(rewards)
    r = finite(rewards)
    divisor = {
        "sample": lambda: float(np.std(r, ddof=1)) + EPS,
        "population": lambda: float(np.std(r)) + EPS,
        "batch": lambda: float(np.std(finite(batch), ddof=1)) + EPS,
        "none": lambda: 1.0,
    }[std]()
    centre = math.fsum(r) / len(r)
    return [(x - centre) / divisor if x is not None and math.isfinite(x) else 0.0 for x in rewards]


def tolerance(advantages: Sequence[float], logged: bool = False, rewards: Sequence[float] | None = None) -> float:
    """Only beyond this a value of the group counts as positive or negative.

    Reading: of logged advantages with rewards it is (k + 7) / 2 float32 roundings of max|r|, over the divisor that the
    largest advantage shows; it holds where it explains the mean of the group, else the rule without rewards does.
    """
    most = max((abs(a) for a in advantages), default=0.0)
    if not logged:
        return 1e-12 * most
    plain = 1e-6 * max(1.0, most)
    if rewards is None:
        return plain
    centre = math.fsum(rewards) / len(rewards)
    spread = max(abs(r - centre) for r in rewards)
    noise = (len(rewards) + 7) / 2 * 2.0**-23 * max(abs(r) for r in rewards)
    bound = most * noise / (spread - noise) if spread > 2 * noise else most
    return bound if abs(math.fsum(advantages) / len(advantages)) <= bound else plain


def step_mean(members: Members, values: Sequence[float]) -> float:
    """R(λ) of rewards, A(λ) of advantages: every member counts, masked or not."""
    return math.fsum(values[j] for j in members) / len(members)


def sign_sums(
    group: Group, members: Members, t: int, a: Sequence[float], w: Sequence[float] | None = None
) -> tuple[float, float]:
    """S⁺ and S⁻ of the tree token (members, t): over the members in the loss there; w = 1 without weights."""
    w = w or [1.0] * len(group)
    having = [j for j in members if in_loss(group[j], t)]
    return math.fsum(w[j] * max(a[j], 0.0) for j in having), math.fsum(w[j] * min(a[j], 0.0) for j in having)


def wilson(hits: int, n: int) -> tuple[float, float]:
    p, z2 = hits / n, Z * Z
    centre = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return centre - half, centre + half


def reward_interval(rewards: Sequence[float], members: Members, binary: tuple[float, float] | None = None):
    """The step-reward interval: Wilson mapped back to the two rewards, else R ± t std / √|λ| with the group's std."""
    n = len(members)
    if binary:
        low, high = binary
        a, b = wilson(sum(rewards[j] == high for j in members), n)
        return low + (high - low) * a, low + (high - low) * b
    half = float(student_t.ppf(0.975, len(rewards) - 1) * np.std(rewards, ddof=1)) / math.sqrt(n)
    centre = step_mean(members, rewards)
    return centre - half, centre + half


def certain(rewards: Sequence[float], members: Members, binary: tuple[float, float] | None = None) -> bool:
    """The interval leaves mean(r) outside. Reading: a step of a zero-variance group never does (R is mean(r))."""
    if zero_variance(rewards):
        return False
    low, high = reward_interval(rewards, members, binary)
    centre = math.fsum(rewards) / len(rewards)
    return centre < low or centre > high


def two_rewards(rewards: Iterable[float]) -> tuple[float, float] | None:
    """The two values of a log with exactly two distinct rewards, else None."""
    values = sorted(set(rewards))
    return (values[0], values[1]) if len(values) == 2 else None


# ---------------------------------------------------------------- one analysed group


class Analysed(NamedTuple):
    """A group of two or more with the advantages that the analysis uses.

    A value within the tolerance is set to exactly 0, in advantages and in step advantages, so that signs, |A| and 0/0
    need no further care (the root's A is 0, not 1e-17).
    """

    run: str
    step: int | None
    key: str
    rows: Group
    a: list[float]
    tol: float
    zero: bool
    centred: bool = True

    @property
    def rewards(self) -> list[float]:
        return [row.reward for row in self.rows]

    def step_advantage(self, members: Members) -> float:
        if self.centred and len(members) == len(self.rows):
            return 0.0
        value = step_mean(members, self.a)
        return value if abs(value) > self.tol else 0.0


def analysed(log: Log, std: str = "sample", advantage: str = "computed") -> list[Analysed]:
    """Groups of one are left out. Reading: of the batch standard deviation too."""
    groups = []
    for run, step, key, rows in log:
        if len(rows) < 2:
            continue
        rewards = [row.reward for row in rows]
        batch = [row.reward for r, s, _, other in log if (r, s) == (run, step) and len(other) > 1 for row in other]
        if advantage == "logged":
            a = [float(row.advantage) for row in rows]
            # The advantages of a zero-variance group are exactly 0, whatever was logged; without rewards they decide.
            zero = zero_variance(rewards) if len(finite(rewards)) == len(rows) else zero_variance(a)
            a = [0.0] * len(a) if zero else a
        else:
            a, zero = group_advantages(rewards, std, batch), zero_variance(rewards)
        known = len(finite(rewards)) == len(rows)
        tol = tolerance(a, advantage == "logged", rewards if known else None)
        centred = abs(math.fsum(a) / len(a)) <= tol
        groups.append(Analysed(run, step, key, rows, [x if abs(x) > tol else 0.0 for x in a], tol, zero, centred))
    return groups


# ---------------------------------------------------------------- prm


def certain_share(groups: Sequence[Analysed], log_is_binary: bool | None = None) -> float | None:
    """Over all intermediate tokens of groups with rewards.

    Reading: zero-variance groups stay in the denominator. Binary rewards: null if no group has k > 5; in a log of mixed
    sizes the tokens of smaller groups stay in the denominator. `log_is_binary` False forces the other interval; True
    says that the rewards are 0 and 1.
    """
    groups = [g for g in groups if len(finite(g.rewards)) == len(g.rows)]
    binary = two_rewards(r for g in groups for r in g.rewards)
    if log_is_binary is not None:
        binary = (binary or (0.0, 1.0)) if log_is_binary else None
    if binary and all(len(g.rows) <= 5 for g in groups):
        return None
    return mean(
        float(certain(g.rewards, members, binary)) for g in groups for _, _, members in intermediate_tokens(g.rows)
    )


def contest(group: Group, members: Members, t: int, a: Sequence[float]) -> float | None:
    plus, minus = sign_sums(group, members, t, a)
    return None if plus == minus else 1.0 - abs(plus + minus) / (plus - minus)


def mean_contest(groups: Sequence[Analysed]) -> float | None:
    """Reading: S± leave members out that are not in the loss at t; a token whose members all have a = 0 is left out."""
    return mean(
        present(
            contest(g.rows, members, t, g.a)
            for g in groups
            if not g.zero
            for _, t, members in intermediate_tokens(g.rows)
        )
    )


def has_logprobs(group: Group) -> bool:
    return all(row.logprobs is not None or not row.tokens for row in group)


def usable_logprobs(group: Group, having: Iterable[int], t: int) -> dict[int, float]:
    """Log-probabilities of the members at t. Reading: one that is not finite or at most -9999 is none."""
    values = {j: traces.usable(group[j].logprobs, t) for j in having}
    return {j: x for j, x in values.items() if x is not None}


def identity_gap(groups: Sequence[Analysed], plain: bool = False) -> float | None:
    """|Σ P a - Σ P A| / Σ |P a| over loss tokens of groups with log-probabilities, P = exp(x - mean x over the set).

    Reading: A is the mean over the members in the loss at t (the identity under masks, w = 1), and so is the mean of x;
    `plain` takes the mean over all members for A instead. The two differ only where members of one set differ in mask.
    """
    left, right, total = [], [], []
    for g in groups:
        if not has_logprobs(g.rows):
            continue
        for (members, t), having in unique_loss_tokens(g.rows).items():
            x = usable_logprobs(g.rows, having, t)
            centre = mean(x.values())
            of_set = step_mean(members if plain else frozenset(x), g.a) if x else 0.0
            for j in x:
                p = math.exp(min(max(x[j] - centre, -300.0), 300.0))
                left.append(p * g.a[j])
                right.append(p * of_set)
                total.append(abs(p * g.a[j]))
    return ratio(abs(math.fsum(left) - math.fsum(right)), math.fsum(total))


def logprob_spread(groups: Sequence[Analysed]) -> dict[str, float | None]:
    """Reading: max - min over the members in the loss at t; a position with one such member has spread 0 and counts."""
    spreads = []
    for g in groups:
        if has_logprobs(g.rows):
            for (members, t), having in unique_loss_tokens(g.rows).items():
                if len(members) > 1:
                    x = usable_logprobs(g.rows, having, t).values()
                    spreads += [max(x) - min(x)] if x else []
    return {"mean": mean(spreads), "max": max(spreads, default=None)}


def prm(groups: Sequence[Analysed], log_is_binary: bool | None = None) -> dict:
    sizes = [(len(members), len(g.rows)) for g in groups for members in counted_sets(g.rows)]
    return {
        "process_steps": len(sizes),
        "intermediate_steps": sum(1 < size < k for size, k in sizes),
        "mean_step_size": mean(size for size, _ in sizes),
        "certain_share": certain_share(groups, log_is_binary),
        "contest": mean_contest(groups),
        "identity_gap": identity_gap(groups),
        "logprob_spread": logprob_spread(groups),
    }


# ---------------------------------------------------------------- defects


def opposed_tokens(g: Analysed, sign: int) -> tuple[int, int]:
    """Loss tokens of the completions with `sign` * a > 0 whose step advantage has the other sign, and all of them."""
    own = [members for i, _, members in loss_tokens(g.rows) if sign * g.a[i] > 0]
    return sum(sign * g.step_advantage(members) < 0 for members in own), len(own)


def opposed_share(groups: Sequence[Analysed], sign: int) -> float | None:
    pairs = [opposed_tokens(g, sign) for g in groups]
    return ratio(sum(a for a, _ in pairs), sum(b for _, b in pairs))


def amplification(groups: Sequence[Analysed]) -> float | None:
    by_token = [abs(g.step_advantage(members)) for g in groups for _, _, members in loss_tokens(g.rows)]
    by_tree = [abs(g.step_advantage(members)) for g in groups for members, _ in unique_loss_tokens(g.rows)]
    return ratio(math.fsum(by_token), math.fsum(by_tree))


def update_scale(groups: Sequence[Analysed], p: float) -> float | None:
    return mean(len(members) ** -p for g in groups for _, _, members in loss_tokens(g.rows))


def update_vectors(groups: Sequence[Analysed], p: float) -> tuple[list[float], list[float]]:
    """Coefficients of ∇log π under GRPO and λ-GRPO. Reading: |λ| A counts every member, masked or not."""
    grpo, ours = [], []
    for g in groups:
        for members, _ in unique_loss_tokens(g.rows):
            grpo.append(len(members) * g.step_advantage(members))
            ours.append(len(members) ** (1 - p) * g.step_advantage(members))
    return grpo, ours


def norm(vector: Sequence[float]) -> float:
    return math.sqrt(math.fsum(x * x for x in vector))


def update_norm(groups: Sequence[Analysed], p: float) -> float | None:
    grpo, ours = update_vectors(groups, p)
    return ratio(norm(ours), norm(grpo))


def update_cosine(groups: Sequence[Analysed], p: float) -> float | None:
    grpo, ours = update_vectors(groups, p)
    return ratio(math.fsum(x * y for x, y in zip(grpo, ours, strict=True)), norm(grpo) * norm(ours))


def clarity(g: Analysed) -> float:
    """|A| times share: the largest |A| of the lowered intermediate steps that two good completions or more go through.

    Only steps that end within the first 200 tokens. Reading: a completion goes through a step with a loss token there.
    """
    largest = 0.0
    for members, _, end in process_sets(g.rows):
        through = {i for i, _, own in loss_tokens(g.rows) if own == members and g.a[i] > 0}
        value = g.step_advantage(members)
        if kind(members, len(g.rows)) == "intermediate" and value < 0 and len(through) >= 2 and end <= 200:
            largest = max(largest, -value)
    suppressed, good = opposed_tokens(g, +1)
    return round(largest * suppressed / good, 9) if good else 0.0


def named_groups(groups: Sequence[Analysed], defect: str, order: Callable[[dict], tuple]) -> list[dict]:
    """Reading: only groups with such tokens; ties in the order of the log."""
    sign, of = {"suppressed_good": (+1, "good_tokens"), "boosted_bad": (-1, "bad_tokens")}[defect]
    rows = []
    for g in groups:
        some, tokens = opposed_tokens(g, sign)
        if some:
            names = {"run": g.run, "step": g.step, "group_key": g.key}
            row = {**names, f"{defect}_tokens": some, of: tokens, "share": some / tokens}
            rows.append((order({"tokens": some, "share": some / tokens, "clarity": clarity(g)}), row))
    return [row for _, row in sorted(rows, key=lambda entry: [-x for x in entry[0]])[:10]]


def worst_groups(groups: Sequence[Analysed]) -> dict:
    by_count, by_share = (lambda x: (x["tokens"],)), (lambda x: (x["share"],))
    return {
        "examples": named_groups(groups, "suppressed_good", lambda x: (x["clarity"], x["tokens"])),
        **{
            defect: {
                "by_count": named_groups(groups, defect, by_count),
                "by_share": named_groups(groups, defect, by_share),
            }
            for defect in ("suppressed_good", "boosted_bad")
        },
    }


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


def raised_share(groups: Sequence[Analysed]) -> float | None:
    """Of the weight (|λ| - 1) |A| over unique loss tokens, what lies on A > 0."""
    weights = [
        ((len(members) - 1) * abs(g.step_advantage(members)), g.step_advantage(members))
        for g in groups
        for members, _ in unique_loss_tokens(g.rows)
    ]
    return ratio(math.fsum(w for w, step in weights if step > 0), math.fsum(w for w, _ in weights))


def defects(groups: Sequence[Analysed]) -> dict:
    return {
        "suppressed_good": opposed_share(groups, +1),
        "boosted_bad": opposed_share(groups, -1),
        "amplification": amplification(groups),
        "raised_share": raised_share(groups),
        "update_scale": {name: update_scale(groups, p) for name, p in POWERS.items()},
        "update_norm": {name: update_norm(groups, p) for name, p in POWERS.items()},
        "update_cosine": {name: update_cosine(groups, p) for name, p in POWERS.items()},
        "worst_groups": worst_groups(groups),
    }


def informativeness(groups: Sequence[Analysed]) -> float | None:
    """The observed mean |A| over intermediate tokens, without zero-variance groups and identical sets."""
    return mean(
        abs(g.step_advantage(members))
        for g in groups
        if not g.zero
        for _, _, members in intermediate_tokens(g.rows)
        if not identical(g.rows, members)
    )


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


def pair_order(group: Group, values: Sequence[float], tol: float) -> tuple[float, int]:
    """Pairs of one group in the right order, ties one half, and pairs that count.

    Reading: values are unequal beyond `tol`; differences of scores are rounded to 1e-9 max(1, max |value|).
    """
    right, counted = 0.0, 0
    for i, j in combinations(range(len(group)), 2):
        if group[i].tokens == group[j].tokens or abs(values[i] - values[j]) <= tol:
            continue
        pair = copies(group, i) | copies(group, j)
        (one, has_one), (other, has_other) = (pair_score(group, values, x, pair) for x in (i, j))
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


def credit(groups: Sequence[Analysed]) -> dict:
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
        "leave_pair_out_auc": leave_pair_out_auc(groups),
        "inherited": inherited(groups),
        "decisions": len(tests),
        "decidable": len(could),
        "sure_decisions": max(reached, default=0),
    }


# ---------------------------------------------------------------- a whole log


def duplicates(group: Group) -> int:
    """Completions equal to an earlier one of their group (token ids; two empty ones are equal)."""
    return sum(row.tokens in [other.tokens for other in group[:i]] for i, row in enumerate(group))


def mismatches(log: Log, std: str) -> int:
    """Groups whose logged advantages are off by more than 1e-3 anywhere."""
    computed = analysed([entry for entry in log if all(row.advantage is not None for row in entry[3])], std)
    return sum(any(abs(row.advantage - a) > 1e-3 for row, a in zip(g.rows, g.a, strict=True)) for g in computed)


def counts(log: Log, groups: Sequence[Analysed]) -> dict:
    """Reading: groups, completions, tokens (in the loss), duplicates and sizes are of the analysed groups, k >= 2."""
    sizes = [len(g.rows) for g in groups]
    most = max(Counter(sizes).values(), default=0)
    tied = [k for k in sizes if sizes.count(k) == most]  # the smallest that divides the largest of them (docs/logs.md)
    return {
        "completions": sum(sizes),
        "tokens": sum(len(loss_tokens(g.rows)) for g in groups),
        "groups": len(groups),
        "groups_of_one": sum(len(rows) == 1 for _, _, _, rows in log),
        "groups_zero_variance": sum(g.zero for g in groups),
        "groups_k3": sum(k >= 3 for k in sizes),
        "duplicates": sum(duplicates(g.rows) for g in groups),
        "group_size": {
            "min": min(sizes, default=None),
            "mode": min((k for k in tied if max(tied) % k == 0), default=None),
            "max": max(sizes, default=None),
        },
    }


def summary(
    log: Log,
    std: str = "sample",
    advantage: str = "computed",
    log_is_binary: bool | None = None,
    pseudo: Sequence[Group] | None = None,
    outcome: str | None = None,
    prompts: Sequence[int | None] | None = None,
) -> dict:
    """The sections of summary.json that need no resampling: means only, None for 0/0.

    `std` is "sample", "population", "none" or "batch", `advantage` "computed" or "logged"; `log_is_binary` overrules
    which interval the certain share takes; `pseudo` are the pseudo-groups of the baseline, None: no baseline;
    `outcome` names the outcome part of the reward; `prompts` are tokens of the prompt of each analysed group.
    """
    groups = analysed(log, std, advantage)
    rows = [g.rows for g in groups]
    return {
        "counts": counts(log, groups),
        "overlap": {**four_statistics(rows), "identical_share": identical_share(rows)},
        "baseline": None if pseudo is None else four_statistics(pseudo),
        "informativeness": {"observed": informativeness(groups)},
        "prm": prm(groups, log_is_binary),
        "defects": defects(groups),
        "credit": credit(groups),
        "sharing": {
            "tokens_per_unique": traces.tokens_per_unique(rows),
            "tokens_per_unique_with_prompt": traces.tokens_per_unique_with_prompt(rows, prompts or [None] * len(rows)),
        },
        "teaching": traces.teaching(groups, outcome),
        "logprobs": traces.logprobs(groups),
    }
