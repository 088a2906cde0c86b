"""Where counting a shared step |λ| times hurts, as sums per group (SPEC: The defect, as diagnostics).

A figure of a whole log is a ratio of these sums, so that batches add up and a bootstrap resamples them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Forest, Ints, Visits, add_up
from .overlap import identical
from .prm import Bools, contest, sign_split_sums

POWERS = (0.5, 1.0)  # the p of λ-GRPO for which a log says what would change


class Signs(NamedTuple):
    """Signs beyond the tolerance of the group: of completions, shape (completions,), and of steps, shape (steps,)."""

    good: Bools
    bad: Bools
    raised: Bools
    lowered: Bools


def signs(forest: Forest, advantages: Floats, step_advantages: Floats, tolerance: Floats, groups: Ints) -> Signs:
    """Compare a and A with the `zero_tolerance` of their group, shape (groups,)."""
    row, step = tolerance[groups], tolerance[forest.group]
    return Signs(advantages > row, advantages < -row, step_advantages > step, step_advantages < -step)


def defect_sums(
    forest: Forest,
    seen: Visits,
    advantages: Floats,
    step_advantages: Floats,
    sign: Signs,
    groups: Ints,
    zero: Bools,
    mask: Bools | None = None,
) -> dict[str, Floats]:
    """Sums over the loss tokens of each group.

    Args:
        forest: The process steps.
        seen: `visits` of the forest.
        advantages: a, shape (completions,).
        step_advantages: A(λ), shape (steps,).
        sign: `signs` of both.
        groups: Dense group of each completion, shape (completions,).
        zero: True for zero-variance groups, shape (groups,).
        mask: True where a token is in the loss, shape (tokens,).

    Returns:
        Arrays of shape (groups,), float64:
        good_tokens, suppressed_good_tokens: tokens of completions with a > 0; those of them with A < 0.
        bad_tokens, boosted_bad_tokens: tokens of completions with a < 0; those of them with A > 0.
        abs_tokens, abs_unique: Σ abs(A) over all tokens, and over unique tree tokens.
        informative_sum, informative_tokens: Σ abs(A) over intermediate tokens, zero-variance groups and identical sets
        left out, and their number.
        contest_sum, contest_tokens: Σ contest over intermediate tokens, and how many have one.
        scale_P: Σ size^-p over tokens. norm_0, norm_P, dot_P: over unique tree tokens, Σ of (size A)^2, of
        (size^(1-p) A)^2, and of their product.
    """
    number = int(groups.max(initial=-1)) + 1
    group = forest.group
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size))
    absolute = np.abs(step_advantages)
    branching = forest.intermediate & ~identical(forest) & ~zero[group]

    def over_steps(values: Floats) -> Floats:
        return add_up(group, values, number)

    def over_visits(chosen: Bools) -> Floats:
        return add_up(groups[seen.row], seen.tokens * chosen, number)

    sums = {
        "good_tokens": add_up(groups, seen.completion * sign.good, number),
        "suppressed_good_tokens": over_visits(sign.good[seen.row] & sign.lowered[seen.step]),
        "bad_tokens": add_up(groups, seen.completion * sign.bad, number),
        "boosted_bad_tokens": over_visits(sign.bad[seen.row] & sign.raised[seen.step]),
        "abs_tokens": over_steps(absolute * tokens),
        "abs_unique": over_steps(absolute * seen.unique),
        "informative_sum": over_steps(absolute * tokens * branching),
        "informative_tokens": over_steps(tokens * branching),
        "norm_0": over_steps(seen.unique * (forest.size * step_advantages) ** 2),
    }
    sums["contest_sum"], sums["contest_tokens"] = _contest_sums(forest, advantages, sign, number, mask)
    for p in POWERS:
        factor = forest.size**-p
        sums[f"scale_{p:g}"] = over_steps(tokens * factor)
        sums[f"norm_{p:g}"] = over_steps(seen.unique * (forest.size * factor * step_advantages) ** 2)
        sums[f"dot_{p:g}"] = over_steps(seen.unique * factor * (forest.size * step_advantages) ** 2)
    return sums


def _contest_sums(
    forest: Forest, advantages: Floats, sign: Signs, number: int, mask: Bools | None
) -> tuple[Floats, Floats]:
    """Σ contest over intermediate tokens and how many have one; where all members have advantage 0 it is 0/0."""
    split = sign_split_sums(forest, np.where(sign.good | sign.bad, advantages, 0.0), mask=mask)
    if mask is None:  # one entry per step
        tokens, between, group = split.weight * forest.length, forest.intermediate, forest.group
    else:  # one entry per unique token, since the members in the loss may differ from one to the next
        tokens = split.weight
        between, group = (np.repeat(of_step, forest.length) for of_step in (forest.intermediate, forest.group))
    value = contest(split)
    has = between & ~np.isnan(value)
    return add_up(group[has], value[has] * tokens[has], number), add_up(group[has], tokens[has], number)
