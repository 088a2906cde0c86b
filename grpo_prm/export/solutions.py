"""A completion as text with labels: what the formats have in common that know text alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from ..tree.paths import last_of_row
from ..tree.step_text import Cuts
from .labels import Labelled


class Solution(NamedTuple):
    """One completion, up to its last labelled step.

    Attributes:
        row: Of the table.
        prompt: Empty where the log has none.
        texts: Labelled steps; text that has no label of its own stands at the beginning of the next. Put together they
            are the beginning of the completion.
        labels: One for each text.
    """

    row: int
    prompt: str
    texts: tuple[str, ...]
    labels: tuple[float, ...]


def solutions(labelled: Labelled, cuts: Cuts) -> tuple[list[Solution], Counter[str]]:
    """Put the texts of the labelled steps together.

    Text knows no tokens: of labelled steps that end at the same character (`Cuts.inside`) the last one labels it, and
    the others are counted in `steps_joined`. One that ends before the first character of its completion is among them.
    A solution equal to an earlier one of its group, which another member of the same steps gave, is left out and
    counted in `rows_repeated`: a step is one label, however many completions went through it.
    """
    row, label, end = labelled.paths.row, labelled.label, cuts.end
    pairs = np.flatnonzero(~np.isnan(label) & (end > 0))
    # True at a pair if the next one is of another completion, or ends at a later character.
    last = np.append((row[pairs][1:] != row[pairs][:-1]) | (end[pairs][1:] != end[pairs][:-1]), True)[: len(pairs)]
    pairs = pairs[last]
    counts = Counter(steps_joined=int((~np.isnan(label)).sum()) - len(pairs))
    unique, seen = [], set()
    for one in _in_order(labelled, cuts, pairs):
        # Equal rows of different groups are different evidence, so the group is a part of the key.
        key = int(labelled.groups.groups[one.row]), one[1:]
        if key not in seen:
            seen.add(key)
            unique.append(one)
        else:
            counts["rows_repeated"] += 1
    counts["steps_written"] = sum(len(one.labels) for one in unique)
    return unique, counts


def _in_order(labelled: Labelled, cuts: Cuts, pairs: np.ndarray) -> Iterator[Solution]:
    row, end, label = labelled.paths.row[pairs], cuts.end[pairs].tolist(), labelled.label[pairs].tolist()
    # The pairs of a completion are neighbours; each text begins where the one before it ends.
    ends_row = np.flatnonzero(last_of_row(row)) + 1
    prompts = labelled.table["prompt"].to_list()
    for begin, until in pairwise([0, *ends_row.tolist()]):
        at = int(row[begin])
        text = cuts.text[at]
        assert text is not None
        ends = end[begin:until]
        texts = tuple(text[a:b] for a, b in zip([0, *ends], ends, strict=False))
        yield Solution(at, prompts[at] or "", texts, tuple(label[begin:until]))
