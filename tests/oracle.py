"""The slow, obviously right definitions: every figure of an analysis from plain rows, with dictionaries and loops.

Nothing here is shared with the package. A log is a list of (run, step, group_key, rows).
Comments that open with "Reading:" mark what the definitions leave open and what is taken here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import oracle_traces as traces
from oracle_credit import (
    arrangements,
    copies,
    credit,
    decision_p,
    decision_tables,
    inherited,
    inherited_tokens,
    leave_pair_out_auc,
    local_advantage,
    pair_order,
    pair_score,
    reliability,
    reliability_sums,
    step_noise,
)
from oracle_rewards import (
    EPS,
    Analysed,
    Log,
    analysed,
    certain,
    finite,
    group_advantages,
    reward_interval,
    sign_sums,
    step_mean,
    tolerance,
    two_rewards,
    wilson,
    zero_variance,
)
from oracle_sets import (
    Group,
    Members,
    Row,
    counted_sets,
    four_statistics,
    identical,
    identical_share,
    intermediate_tokens,
    kind,
    loss_tokens,
    mean,
    present,
    process_sets,
    ratio,
    unique_loss_tokens,
)

__all__ = [
    "EPS",
    "Analysed",
    "Group",
    "Log",
    "Members",
    "Row",
    "analysed",
    "arrangements",
    "certain",
    "copies",
    "credit",
    "decision_p",
    "decision_tables",
    "finite",
    "group_advantages",
    "inherited",
    "inherited_tokens",
    "leave_pair_out_auc",
    "local_advantage",
    "pair_order",
    "pair_score",
    "reliability",
    "reliability_sums",
    "reward_interval",
    "sign_sums",
    "step_mean",
    "step_noise",
    "tolerance",
    "two_rewards",
    "wilson",
    "zero_variance",
]

POWERS = {"0.5": 0.5, "1": 1.0}


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
    """Log-probabilities of the members at t. Reading: one below -745 or above .001 is none."""
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
    """Reading: only groups with such tokens; of equals the first by run, step and key."""
    sign, of = {"suppressed_good": (+1, "good_tokens"), "boosted_bad": (-1, "bad_tokens")}[defect]
    rows = []
    for g in groups:
        some, tokens = opposed_tokens(g, sign)
        if some:
            names = {"run": g.run, "step": g.step, "group_key": g.key}
            row = {**names, f"{defect}_tokens": some, of: tokens, "share": some / tokens}
            rows.append((order({"tokens": some, "share": some / tokens, "clarity": clarity(g)}), row))
    rows.sort(key=lambda entry: ([-x for x in entry[0]], place(entry[1])))
    return [row for _, row in rows[:10]]


def place(group: dict) -> tuple:
    """Run, step and key; keys of the same length by their letters, so that 2 comes before 10."""
    step = -math.inf if group["step"] is None else group["step"]
    return group["run"], step, len(group["group_key"].encode()), group["group_key"]


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
        "credit": credit(groups, std if advantage == "computed" else None),
        "sharing": {
            "tokens_per_unique": traces.tokens_per_unique(rows),
            "tokens_per_unique_with_prompt": traces.tokens_per_unique_with_prompt(rows, prompts or [None] * len(rows)),
        },
        "teaching": traces.teaching(groups, outcome),
        "logprobs": traces.logprobs(groups),
    }
