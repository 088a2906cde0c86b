"""Where counting a shared step |λ| times hurts, as sums per group (definitions: The defect, as diagnostics).

A figure of a whole log is a ratio of these sums, so that batches add up and a bootstrap resamples them.
"""

from __future__ import annotations

import numpy as np

from .forest import Floats, add_up
from .groups import Groups
from .overlap import identical
from .prm import Bools, beyond, contest, sign_split_sums

POWERS = (0.5, 1.0)  # the p of λ-GRPO for which a log says what would change


def suppressed_good(groups: Groups) -> Bools:
    """True where a completion with a > 0 goes through a step with A < 0: for each pair of `seen`, shape (pairs,)."""
    return groups.sign.good[groups.seen.row] & groups.sign.lowered[groups.seen.step]


def boosted_bad(groups: Groups) -> Bools:
    """True where a completion with a < 0 goes through a step with A > 0: for each pair of `seen`, shape (pairs,)."""
    return groups.sign.bad[groups.seen.row] & groups.sign.raised[groups.seen.step]


def local_advantages(groups: Groups) -> Floats:
    """What each step itself added: A(λ) - A(parent of λ) (definitions: Local advantage).

    Returns:
        Shape (steps,), float64; exactly 0 within the tolerance, NaN at roots, which follow no step.
    """
    forest, advantage = groups.forest, groups.set_advantages
    local = beyond(groups.tolerance[forest.group], advantage - advantage[forest.parent])
    return np.where(forest.parent < 0, np.nan, local)


def defect_sums(groups: Groups) -> dict[str, Floats]:
    """Sums over the loss tokens of each group.

    Args:
        groups: Groups with advantages, numbered from 0.

    Returns:
        Arrays of shape (groups,), float64:
        good_tokens, suppressed_good_tokens: tokens of completions with a > 0; those of them with A < 0.
        bad_tokens, boosted_bad_tokens: tokens of completions with a < 0; those of them with A > 0.
        abs_tokens, abs_unique: Σ abs(A) over all tokens, and over unique tree tokens.
        informative_sum, informative_tokens: Σ abs(A) over intermediate tokens, zero-variance groups and identical sets
        left out, and their number.
        inherited_tokens: those of them whose A and local advantage have opposite signs.
        contest_sum, contest_tokens: Σ contest over intermediate tokens, and how many have one.
        lifted, lifted_raised: over unique tree tokens Σ (size - 1) abs(A), the weight that λ-GRPO with p = 1 takes
        off; of it what lies on A > 0.
        scale_P: Σ size^-p over tokens. norm_0, norm_P, dot_P: over unique tree tokens, Σ of (size A)^2, of
        (size^(1-p) A)^2, and of their product.
    """
    forest, seen, sign, number = groups.forest, groups.seen, groups.sign, groups.number
    group, advantage = forest.group, groups.set_advantages
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size))
    absolute = np.abs(advantage)
    # Where all members go on alike to the end, A says how often a text came, not which branch is good.
    branching = forest.intermediate & ~identical(forest) & ~groups.zero[group]
    inherited = np.sign(advantage) * np.sign(local_advantages(groups)) < 0

    def over_steps(values: Floats) -> Floats:
        return add_up(group, values, number)

    def over_visits(chosen: Bools) -> Floats:
        return add_up(groups.groups[seen.row], seen.tokens * chosen, number)

    sums = {
        "good_tokens": add_up(groups.groups, seen.completion * sign.good, number),
        "suppressed_good_tokens": over_visits(suppressed_good(groups)),
        "bad_tokens": add_up(groups.groups, seen.completion * sign.bad, number),
        "boosted_bad_tokens": over_visits(boosted_bad(groups)),
        "abs_tokens": over_steps(absolute * tokens),
        "abs_unique": over_steps(absolute * seen.unique),
        "informative_sum": over_steps(absolute * tokens * branching),
        "informative_tokens": over_steps(tokens * branching),
        "lifted_raised": over_steps(seen.unique * (forest.size - 1) * absolute * (advantage > 0)),
        "lifted": over_steps(seen.unique * (forest.size - 1) * absolute),
        "inherited_tokens": over_steps(tokens * (branching & inherited)),
        "norm_0": over_steps(seen.unique * (forest.size * advantage) ** 2),
    }
    sums["contest_sum"], sums["contest_tokens"] = _contest_sums(groups)
    for p in POWERS:
        factor = forest.size**-p
        sums[f"scale_{p:g}"] = over_steps(tokens * factor)
        sums[f"norm_{p:g}"] = over_steps(seen.unique * (forest.size * factor * advantage) ** 2)
        sums[f"dot_{p:g}"] = over_steps(seen.unique * factor * (forest.size * advantage) ** 2)
    return sums


def _contest_sums(groups: Groups) -> tuple[Floats, Floats]:
    """Σ contest over intermediate tokens and how many have one; where all members have advantage 0 it is 0/0."""
    forest, number = groups.forest, groups.number
    split = sign_split_sums(forest, groups.advantages, mask=groups.mask)
    if groups.mask is None:  # one entry per step
        tokens, between, group = split.weight * forest.length, forest.intermediate, forest.group
    else:  # one entry per unique token, since the members in the loss may differ from one to the next
        tokens = split.weight
        between, group = (np.repeat(of_step, forest.length) for of_step in (forest.intermediate, forest.group))
    value = contest(split)
    has = between & ~np.isnan(value)
    return add_up(group[has], value[has] * tokens[has], number), add_up(group[has], tokens[has], number)
