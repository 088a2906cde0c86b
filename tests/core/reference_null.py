"""The permutation null in plain numpy, group by group: every statistic is a few products with matrices of the tree.

Slow, but fast enough for hundreds of logs; `null_oracle` says what is right. `within` names the classes whose values
change places: "sizes" is the definition, "classes" ignores sizes, "rows" ignores that copies are copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from core.null_oracle import classes
from oracle_sets import Group, identical, process_sets
from scipy.stats import t as student_t

NEAR = 1e-9


def permuted(group: Group, within: str, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Rewards of the rows, the observed ones first, shape (1 + permutations, k)."""
    r = np.array([row.reward for row in group])
    every = [[i] for i in range(len(group))] if within == "rows" else classes(group)
    means = np.array([r[rows].mean() for rows in every])
    size = np.array([len(rows) if within == "sizes" else 1 for rows in every])
    of_row = np.empty(len(r), int)
    for c, rows in enumerate(every):
        of_row[rows] = c
    drawn = np.tile(means, (1 + permutations, 1))
    for s in np.unique(size):
        at = np.flatnonzero(size == s)
        drawn[1:, at] = rng.permuted(drawn[1:, at], axis=1)
    return drawn[:, of_row] + (r - means[of_row])


def group_sums(group: Group, r: np.ndarray, binary: bool = False) -> dict[str, np.ndarray]:
    """Numerators and denominators of a group without masks, for rewards of shape (n, k): shape (2, n) each.

    `binary`: rewards are 0 or 1, and certain share has Wilson's intervals.
    """
    k = len(group)
    centre = r.mean(axis=1, keepdims=True)
    std = r.std(axis=1, ddof=1)
    steps = process_sets(group)
    member = np.array([[j in step.members for j in range(k)] for step in steps], float)
    size = member.sum(axis=1)
    tokens = np.array([step.end - step.start for step in steps]) * size
    counted = (tokens > 0) | (size == k)
    member, size, tokens = member[counted], size[counted], tokens[counted]
    far = r @ (member / size[:, None]).T - centre  # R(λ) - mean(r), shape (n, steps)
    parent = [_parent(member, size, step) for step in range(len(size))]
    between = (size > 1) & (size < k)
    telling = tokens * between * [not identical(group, frozenset(np.flatnonzero(row))) for row in member]
    mixed = (std > NEAR).astype(float)
    good, bad = r > centre + NEAR, r < centre - NEAR
    own = tokens / size  # of one member
    lengths = np.array([len(row.tokens) for row in group])
    spread = 1.96 * np.sqrt(centre * (1 - centre)) if binary else student_t.ppf(0.975, k - 1) * std[:, None]
    half = spread / np.sqrt(size)
    turned = far * (far - far[:, parent]) < -(NEAR**2)

    def pair(top: np.ndarray, bottom: np.ndarray | float) -> np.ndarray:
        return np.stack([top, np.broadcast_to(bottom, top.shape)])

    return {
        "informativeness": pair(np.abs(far) @ telling / (std + 1e-4), mixed * telling.sum()),
        "suppressed_good": pair(((good @ member.T) * (far < -NEAR)) @ own, good @ lengths),
        "boosted_bad": pair(((bad @ member.T) * (far > NEAR)) @ own, bad @ lengths),
        "certain_share": pair((np.abs(far) > half + NEAR) @ (tokens * between) * mixed, (tokens * between).sum()),
        "inherited": pair(mixed * (turned @ telling), mixed * telling.sum()),
        "leave_pair_out_auc": ordered_pairs(group, r, member[between]),
    }


def _parent(member: np.ndarray, size: np.ndarray, step: int) -> int:
    above = [s for s in range(len(size)) if size[s] > size[step] and (member[s] >= member[step]).all()]
    return min(above, key=lambda s: size[s], default=0)


def ordered_pairs(group: Group, r: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Pairs ordered rightly, and pairs: of every pair the weights that make its two scores of the rewards."""
    k, own = len(group), np.zeros((len(group), len(group)))
    for rows in classes(group):
        own[np.ix_(rows, rows)] = 1
    member = member[np.argsort(member.sum(axis=1))]
    firsts, seconds, weights = [], [], []
    for i, j in combinations(range(k), 2):
        others = 1 - np.maximum(own[i], own[j])
        sets = [next((m * others for m in member if m[one] and (m * others).any()), None) for one in (i, j)]
        if own[i, j] or (sets[0] is None and sets[1] is None):
            continue
        firsts, seconds = [*firsts, i], [*seconds, j]
        scores = [others if s is None else s for s in sets]
        weights.append(scores[0] / scores[0].sum() - scores[1] / scores[1].sum())
    if not weights:
        return np.zeros((2, len(r)))
    gap, better = r @ np.array(weights).T, r[:, firsts] - r[:, seconds]
    unequal = np.abs(better) > NEAR
    right = np.where(np.abs(gap) <= NEAR / 2, 0.5, gap * better > 0)
    return np.stack([(right * unequal).sum(axis=1), unequal.sum(axis=1).astype(float)])


def figures_of(log: Sequence[Group], within: str = "sizes", permutations: int = 99, seed: int = 0) -> dict:
    """Each statistic of a log and its null, in the form of `calibration`."""
    rng = np.random.default_rng(seed)
    binary = {row.reward for group in log for row in group} <= {0.0, 1.0}
    sums = [group_sums(group, permuted(group, within, permutations, rng), binary) for group in log]
    found = {}
    for name in sums[0]:
        top, bottom = np.sum([one[name] for one in sums], axis=0)
        ratio = np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)
        found[name] = (ratio[0], ratio[1:])
    return found
