"""Is A(λ) the policy's value of the step, or luck of the draw (definitions: Reliability).

A(λ) is a difference of means of two samples: the n completions of a step and the k - n others of the group. Part of
A(λ)² is therefore chance, and how much can be told from how the advantages vary inside and outside.
"""

from __future__ import annotations

import numpy as np

from .distinct import distinct
from .forest import Floats, Ints, add_up, step_sums
from .groups import Groups
from .prm import ROUNDING, Std, beyond, group_advantages, step_means


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


def texts_once_sums(groups: Groups, plain: dict[str, Floats], std: Std | None) -> dict[str, Floats]:
    """Reliability with each distinct text of a group once, the mean reward of its copies (definitions: Texts once).

    Args:
        groups: Groups with advantages, numbered from 0.
        plain: `reliability_sums` of them, which a group without copies keeps.
        std: Divisor by which the advantages were made of the rewards; None: they come from a log.

    Returns:
        Arrays of shape (groups,), float64: texts_squared_sum and texts_reliable_sum.
    """
    forest = groups.forest
    in_order = distinct(forest)
    text = np.empty(len(in_order), np.int64)
    text[forest.order] = in_order
    copies = np.bincount(text)
    copied = np.bincount(groups.groups, copies[text] > 1, groups.number) > 0
    if not copied.any():
        return {f"texts_{name}": values for name, values in plain.items()}
    # The texts of a step are neighbours in tree order, so its first and its last tell how many there are.
    n = in_order[forest.first + forest.size - 1] - in_order[forest.first] + 1
    once = _once(groups, _text_advantages(groups, text, copies, std), 1 / copies[text], n)
    return {f"texts_{name}": np.where(copied, once[name], plain[name]) for name in plain}


def _text_advantages(groups: Groups, text: Ints, copies: Ints, std: Std | None) -> Floats:
    """Advantage of the text of each completion in a group that has each text once, shape (completions,)."""
    if groups.rewards is None or std not in ("sample", "population"):  # the others have no divisor of a group
        return (np.bincount(text, groups.advantages) / copies)[text]
    group = np.empty(len(copies), np.int64)
    group[text] = groups.groups
    return group_advantages(np.bincount(text, groups.rewards) / copies, group, std)[text]


def _once(groups: Groups, advantages: Floats, weight: Floats, n: Ints) -> dict[str, Floats]:
    """The sums of every group, a completion weighed by 1 / its copies, so that a text counts once.

    Args:
        groups: The groups.
        advantages: Of the text of each completion, shape (completions,).
        weight: 1 / copies of that text, shape (completions,).
        n: Distinct texts in each step, shape (steps,).
    """
    forest, seen = groups.forest, groups.seen
    root = forest.parent < 0
    above = np.cumsum(root) - 1  # which root a step has
    centred = advantages - (step_sums(forest, weight * advantages) / n)[root][groups.groups]
    mean = step_sums(forest, weight * centred) / n
    spread = add_up(seen.step, weight[seen.row] * (centred[seen.row] - mean[seen.step]) ** 2, len(n))
    noise = noise_of(n, n[root][above], mean, spread, spread[root][above])
    # Advantages that are not centred keep the mean of their group, as A(λ) does.
    squared = beyond(groups.tolerance[forest.group], mean + groups.set_advantages[root][above]) ** 2
    between = (n > 1) & (n < n[root][above])
    tokens = between * ~groups.zero[forest.group] * np.bincount(seen.step, seen.tokens * weight[seen.row], len(n))
    total = add_up(forest.group, tokens * squared, groups.number)
    reliable = add_up(forest.group, tokens * (squared - noise), groups.number)
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
