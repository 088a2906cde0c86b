"""Invented groups for the claim about Theorem 1, and a policy that is a table of logits."""

from __future__ import annotations

import numpy as np

from .identity_gaps import Policy
from .identity_outcome import Rollouts

WORDS, LONGEST = 4, 10
MASKED = (0.0, 0.15, 0.6)  # probability of a completion to be truncated, one of them for each group
REWARDS = (
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
        kept = rng.random(len(rows)) > rng.choice(MASKED, group + 1)[groups]
        rollouts = Rollouts(tokens, lengths, np.array(groups), np.array(rewards), kept, LONGEST)
        if rollouts.telling:  # else both forms are equal without a theorem
            return rollouts


def _completions(rng: np.random.Generator, k: int) -> list[list[int]]:
    # Each grows out of an earlier one, so that there are copies, strict prefixes and forks at every depth.
    rows: list[list[int]] = [rng.integers(0, WORDS, rng.integers(0, LONGEST + 1)).tolist()]
    while len(rows) < k:
        base = rows[rng.integers(len(rows))]
        how = rng.choice(["fresh", "copy", "prefix", "branch"], p=[0.15, 0.15, 0.2, 0.5])
        kept = {"fresh": [], "copy": base}.get(how, base[: rng.integers(0, len(base) + 1)])
        more = rng.integers(0, WORDS, rng.integers(1, LONGEST + 1)).tolist() if how in ("fresh", "branch") else []
        rows.append([*kept, *more][:LONGEST])
    return rows


def tabular_policy(rollouts: Rollouts, rng: np.random.Generator, drift: float = 0.3) -> Policy:
    """A softmax of its own behind every prefix, with normal logits; old policy and reference are off by `drift`."""
    import torch

    # One row of logits a prefix: tokens behind equal prefixes have equal probabilities, as those of a model have.
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
