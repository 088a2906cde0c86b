"""The outcome form of GRPO's loss token by token, with its derivative by hand (definitions: Theorem 1)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..core.forest import Floats, Forest, Ints, build_forest
from ..core.prm import Aggregation, Bools, group_advantages, sign_split_sums


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
        """w_i m_i, written out (definitions: Every aggregation), shape (completions,)."""
        rows, inside = len(self.lengths), np.where(self.kept, self.lengths, 0)
        if aggregation in ("dapo", "bnpo"):
            normaliser = np.full(rows, inside.sum())
        else:
            normaliser = rows * (np.maximum(inside, 1) if aggregation == "grpo" else np.full(rows, self.limit))
        return self.kept / normaliser

    @property
    def telling(self) -> bool:
        """Better and worse completions in the loss share a step and then part: else nothing is tested."""
        forest = self.forest()
        split = sign_split_sums(forest, self.advantages, self.kept.astype(float))
        contested = (split.plus > 0) & (split.minus < 0) & (forest.length > 0)
        one_sided = (split.plus > 0) ^ (split.minus < 0)
        return bool((one_sided & (forest.parent >= 0) & contested[forest.parent]).any())

    def forest(self) -> Forest:
        """Its trees."""
        return build_forest(self.tokens, self.lengths, self.groups)


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
    # Where clipping holds the ratio the gain is a constant and has no slope.
    held = ((a > 0) & (ratio > high)) | ((a < 0) & (ratio < low))
    slope = np.where(held, 0.0, ratio * a)
    kl, kl_slope = np.exp(q) - q - 1, 1 - np.exp(q)  # q falls as `now` rises
    if ratio_in_kl:
        kl, kl_slope = kl * ratio, (kl_slope + kl) * ratio
    terms = w * (gain - beta * kl)
    return Form(-terms.sum(), np.abs(terms).sum(), -w * (slope - beta * kl_slope))


def sequence_outcome_form(now: Floats, old: Floats, rollouts: Rollouts) -> Form:
    """-Σ_i m_i s_i a_i / rows with s_i = exp(mean over t of now - old): GSPO without clipping."""
    row, number = rollouts.row, len(rollouts.lengths)
    length = np.maximum(rollouts.lengths, 1)  # an empty completion has no ratio; its term is 0 below
    s = np.exp(np.bincount(row, now - old, number) / length)
    terms = rollouts.kept * (rollouts.lengths > 0) * s * rollouts.advantages / number
    return Form(-terms.sum(), np.abs(terms).sum(), -(terms / length)[row])
