"""Which steps get a label, and what became of the others."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats
from ..tree.paths import Paths, paths
from .options import ExportOptions
from .values import Values

NEUTRAL = 0.5  # the label of A = 0 in a format that has a word for it


@dataclass(frozen=True, slots=True)
class Choice:
    """A slice of the log with its labels.

    Attributes:
        table: Canonical rollouts, whole groups.
        values: What the steps are worth.
        paths: Steps of each completion, up to the last one that has a label; a completion without a label has none.
        label: Of each pair of `paths`: R(λ), or 1 for a good and 0 for a bad step; NaN without one, shape (pairs,).
        counts: Whole numbers that add up over slices; see docs/export.md.
    """

    table: pl.DataFrame
    values: Values
    paths: Paths
    label: Floats
    counts: Counter[str]


def choose(table: pl.DataFrame, values: Values, options: ExportOptions, *, neutral: bool = False) -> Choice:
    """Label the steps of every completion.

    A step of a completion has a label if it has a token in this completion's loss, `min_members` members and
    `min_certainty`, and if there is a label to give. Every other step counts under the first of these that it lacks.

    Args:
        table: The rows of `values`.
        values: What the steps are worth.
        options: Settled options.
        neutral: Whether the format has a label for A(λ) = 0 in a group of mixed reward.
    """
    along = paths(values.forest, values.flat.mask)
    label = step_labels(values, options, neutral=neutral)[along.step]
    sure = values.sure.certainty[along.step] >= (options.min_certainty or 0.0)
    wanted = {
        "steps_out_of_loss": along.loss > 0,
        "steps_few_members": values.forest.size[along.step] >= options.min_members,
        "steps_uncertain": sure | (options.min_certainty is None),
        "steps_without_sign": ~np.isnan(label),
    }
    labelled = np.ones(len(label), bool)
    counts = Counter(steps=len(label), completions=len(table), groups=len(values.zero))
    for name, has in wanted.items():
        counts[name] = int((labelled & ~has).sum())
        labelled &= has
    counts["steps_labelled"] = int(labelled.sum())
    if options.labels != "mean":
        counts.update({f"labels_{word}": int((label[labelled] == at).sum()) for word, at in _WORDS.items()})
    kept = _up_to_the_last(along, labelled, len(table))
    counts["completions_without_label"] = len(table) - len(np.unique(along.row[labelled]))
    return Choice(table, values, along.where(kept), np.where(labelled, label, np.nan)[kept], counts)


_WORDS = {"good": 1.0, "neutral": NEUTRAL, "bad": 0.0}


def step_labels(values: Values, options: ExportOptions, *, neutral: bool) -> Floats:
    """The label of every step whatever its size, NaN where there is none, shape (steps,)."""
    if options.labels == "mean":
        return values.reward
    if options.labels == "threshold":
        assert options.threshold is not None
        # The mean of equal rewards need not be equal to them to the last bit.
        slack = 1e-12 * np.maximum(np.abs(values.reward), abs(options.threshold))
        good = values.reward >= options.threshold - slack
        return np.where(np.isnan(values.reward), np.nan, good.astype(np.float64))
    mixed = ~values.zero[values.forest.group]
    of_none = np.where(mixed & neutral, NEUTRAL, np.nan)
    return np.where(values.advantage == 0, of_none, (values.advantage > 0).astype(np.float64))


def _up_to_the_last(along: Paths, labelled: NDArray[np.bool_], completions: int) -> NDArray[np.bool_]:
    """True for the steps of a completion down to its last labelled one."""
    last = np.full(completions, -1)
    last[along.row[labelled]] = np.flatnonzero(labelled)  # the last assignment stays: pairs ascend along a path
    return np.arange(len(labelled)) <= last[along.row]
