"""Is A(λ) the policy's value of the step, or luck of the draw (definitions: Reliability).

A(λ) is a difference of means of two samples: the n completions of a step and the k - n others of the group. Part of
A(λ)² is therefore chance, and how much can be told from how the advantages vary inside and outside.
"""

from __future__ import annotations

import numpy as np

from .forest import Floats, Ints, add_up
from .groups import Groups
from .prm import ROUNDING, beyond, step_means


def reliability_sums(groups: Groups) -> dict[str, Floats]:
    """Squared step advantages of each group, and what of them is not chance.

    Sums are over the intermediate sets of groups that are not zero-variance, sets of identical completions among them:
    leaving these out would keep the sets that happened to fork.

    Args:
        groups: Groups with advantages, numbered from 0.

    Returns:
        Arrays of shape (groups,), float64, in squared units of the advantage, 0 without such a set:
        squared_sum: Σ T A(λ)², T the loss tokens of all members in the step.
        reliable_sum: Σ T (A(λ)² - noise(λ)); below 0 where there is more noise than A² holds.
        Reliability is the sum of the second over groups, divided by that of the first.
    """
    forest, seen = groups.forest, groups.seen
    # A zero-variance group adds nothing: its advantages are exactly 0.
    tokens = np.bincount(seen.step, seen.tokens, len(forest.size)) * forest.intermediate
    squared = groups.set_advantages**2
    total = add_up(forest.group, tokens * squared, groups.number)
    reliable = add_up(forest.group, tokens * (squared - step_noise(groups)), groups.number)
    # Noise that is all of A² but for rounding leaves 0.
    return {"squared_sum": total, "reliable_sum": beyond(ROUNDING * total, reliable)}


def step_noise(groups: Groups) -> Floats:
    """Variance of A(λ) that comes from the draw: (1 - n/k)² (s²_in / n + s²_out / (k - n)).

    s² are sample variances of the advantages of the n members and of the k - n others of the group; one other has
    none, and takes s²_in.

    Args:
        groups: Groups with advantages.

    Returns:
        Shape (steps,), float64, in squared units of the advantage; 0 at steps that are not intermediate.
    """
    forest, seen = groups.forest, groups.seen
    root = forest.parent < 0
    # Centred first: what follows subtracts sums of squares, which an offset of the advantages would drown.
    centred = groups.advantages - step_means(forest, groups.advantages)[root][groups.groups]
    mean = step_means(forest, centred)
    inside = add_up(seen.step, (centred[seen.row] - mean[seen.step]) ** 2, len(forest.size))
    # The root holds all squares of its group.
    return noise_of(forest.size, forest.k, mean, inside, inside[root][np.cumsum(root) - 1])


def noise_of(n: Ints, k: Ints, mean: Floats, inside: Floats, whole: Floats) -> Floats:
    """The noise of sets of n completions of a group of k.

    Args:
        n: Members, shape (sets,).
        k: Completions of the group, shape (sets,).
        mean: Of the advantages of the members, those of the group being centred, shape (sets,).
        inside: Sum of squares of the members around it, shape (sets,).
        whole: Sum of squares of the group around its mean, shape (sets,).

    Returns:
        As `step_noise`, shape (sets,); 0 unless 1 < n < k.
    """
    others = np.maximum(k - n, 1)
    # The squares of a group are those inside, those outside and those of the two means, of which one gives the other.
    between = n * mean**2 * k / others
    outside = np.maximum(whole - inside - between, 0.0)
    spread_in = inside / np.maximum(n - 1, 1)
    spread_out = np.where(others > 1, outside / np.maximum(others - 1, 1), spread_in)
    return np.where((n > 1) & (n < k), (1 - n / k) ** 2 * (spread_in / n + spread_out / others), 0.0)
