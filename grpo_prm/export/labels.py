"""Which steps get a label, and what became of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats
from ..core.groups import Groups
from ..tree.paths import Paths, paths
from .certainty import Certainty
from .options import ExportOptions

NEUTRAL = 0.5  # the label of A = 0 in a format that has a word for it


@dataclass(frozen=True, slots=True)
class Labelled:
    """A slice of the log with its labels.

    Attributes:
        table: Canonical rollouts, whole groups.
        groups: Its groups, with the reward and advantage of each step.
        sure: Interval and certainty of each step reward; NaN where the log has no rewards.
        paths: Steps of each completion, up to the last one that has a label; a completion without a label has none.
        label: Of each pair of `paths`: R(λ), or 1 for a good and 0 for a bad step; NaN without one, shape (pairs,).
        counts: Whole numbers that add up over slices; see docs/export.md.
        options: What was asked for.
    """

    table: pl.DataFrame
    groups: Groups
    sure: Certainty
    paths: Paths
    label: Floats
    counts: Counter[str]
    options: ExportOptions


def label_steps(
    table: pl.DataFrame, groups: Groups, sure: Certainty, options: ExportOptions, *, neutral: bool = False
) -> Labelled:
    """Label the steps of every completion.

    A step of a completion has a label if it has a token in this completion's loss, `min_members` members and
    `min_certainty`, and if there is a label to give. Every other step counts under the first of these that it lacks.

    Args:
        table: Canonical rollouts, whole groups.
        groups: Its groups.
        sure: Interval and certainty of each step reward.
        options: Settled options.
        neutral: Whether the format has a label for A(λ) = 0 in a group whose rewards differ.
    """
    along = paths(groups.forest, groups.mask)
    label = step_labels(groups, options, neutral=neutral)[along.step]
    certain = sure.certainty[along.step] >= (options.min_certainty or 0.0)  # False for NaN: no rewards
    # In this order: a step counts under the first condition that it does not meet.
    wanted = {
        "steps_out_of_loss": along.loss > 0,
        "steps_few_members": groups.forest.size[along.step] >= options.min_members,
        "steps_uncertain": certain | (options.min_certainty is None),
        "steps_without_sign": ~np.isnan(label),
    }
    has_label = np.ones(len(label), bool)
    counts = Counter(steps=len(label), completions=len(table), groups=groups.number)
    for name, has in wanted.items():
        counts[name] = int((has_label & ~has).sum())
        has_label &= has
    counts["steps_labelled"] = int(has_label.sum())
    if options.labels != "mean":
        counts.update({f"labels_{word}": int((label[has_label] == at).sum()) for word, at in _WORDS.items()})
    # What follows the last label says nothing, but what lies before it is read on the way to it.
    kept = _up_to_the_last(along, has_label, len(table))
    counts["completions_without_label"] = len(table) - len(np.unique(along.row[has_label]))
    return Labelled(table, groups, sure, along.where(kept), np.where(has_label, label, np.nan)[kept], counts, options)


_WORDS = {"good": 1.0, "neutral": NEUTRAL, "bad": 0.0}


def step_labels(groups: Groups, options: ExportOptions, *, neutral: bool) -> Floats:
    """The label of every step whatever its size, NaN where there is none, shape (steps,)."""
    if options.labels == "mean":
        return groups.set_rewards
    if options.labels == "threshold":
        assert options.threshold is not None
        reward = groups.set_rewards
        # The mean of equal rewards need not be equal to them to the last bit.
        slack = 1e-12 * np.maximum(np.abs(reward), abs(options.threshold))
        good = reward >= options.threshold - slack
        return np.where(np.isnan(reward), np.nan, good.astype(np.float64))
    # A = 0 in a group whose rewards differ is a tie; in one of equal rewards nothing was compared.
    of_ties = np.where(~groups.zero[groups.forest.group] & neutral, NEUTRAL, np.nan)
    advantage = groups.set_advantages  # exactly 0 within the tolerance
    return np.where(advantage == 0, of_ties, (advantage > 0).astype(np.float64))


def _up_to_the_last(along: Paths, has_label: NDArray[np.bool_], completions: int) -> NDArray[np.bool_]:
    """True for the steps of a completion down to its last labelled one."""
    last = np.full(completions, -1)
    last[along.row[has_label]] = np.flatnonzero(has_label)  # the last assignment stays: pairs ascend along a path
    return np.arange(len(has_label)) <= last[along.row]
