"""A completion as text with labels: what the formats have in common that know text alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Ints
from ..tree.paths import first_of_row, last_of_row
from ..tree.step_text import Cuts
from .labels import Labelled
from .others_words import holds_words_of_others, of_tools_alone

SHORT = 5  # words of a step: of fewer it is said how many steps there are


class Solution(NamedTuple):
    """One completion, up to its last labelled step.

    Attributes:
        row: Of the table.
        prompt: Empty where the log has none.
        texts: Labelled steps; text that has no label of its own stands at the beginning of the next. Put together they
            are the beginning of the completion.
        labels: One for each text.
        others: Whether it holds tool output, or turns of others than the model.
    """

    row: int
    prompt: str
    texts: tuple[str, ...]
    labels: tuple[float, ...]
    others: bool


def solutions(labelled: Labelled, cuts: Cuts) -> tuple[list[Solution], Counter[str]]:
    """Put the texts of the labelled steps together.

    Text knows no tokens: of labelled steps that end at the same character (`Cuts.inside`) the last one labels it, and
    the others are counted in `steps_joined`. One that ends before the first character of its completion is among them.
    A step of tool output alone has no label of its own (`steps_of_tools`), nor has one of fewer words than `min_words`
    (`steps_few_words`). A solution equal to an earlier one of its group, which another member of the same steps gave,
    is left out and counted in `rows_repeated`, its labels in `steps_repeated`: a step is one label, however many
    completions went through it. Solutions that the options leave out are counted in `rows_others_excluded` and
    `rows_prompt_excluded`, their labels in `steps_excluded`; a completion all of whose labels went, in
    `completions_without_label`.
    """
    row, label, end = labelled.paths.row, labelled.label, cuts.end
    pairs = np.flatnonzero(~np.isnan(label) & (end > 0))
    # True at a pair if the next one is of another completion, or ends at a later character.
    last = np.append((row[pairs][1:] != row[pairs][:-1]) | (end[pairs][1:] != end[pairs][:-1]), True)[: len(pairs)]
    pairs = pairs[last]
    counts = Counter(steps_joined=int((~np.isnan(label)).sum()) - len(pairs))
    options, unique, seen = labelled.options, [], set()
    for one in _in_order(labelled, cuts, pairs, counts):
        # Equal rows of different groups are different evidence, so the group is a part of the key.
        key = int(labelled.groups.groups[one.row]), one[1:]
        if key in seen:
            counts.update(rows_repeated=1, steps_repeated=len(one.labels))
            continue
        seen.add(key)
        if options.exclude_tool_output and one.others:
            counts.update(rows_others_excluded=1, steps_excluded=len(one.labels))
        elif options.exclude_missing_prompts and not one.prompt:
            counts.update(rows_prompt_excluded=1, steps_excluded=len(one.labels))
        else:
            unique.append(one)
    return unique, counts


def written(some: Sequence[Solution]) -> Counter[str]:
    """What is counted of the solutions that are written."""
    return Counter(
        steps_written=sum(len(one.labels) for one in some),
        steps_short=sum(len(text.split()) < SHORT for one in some for text in one.texts),
        rows_with_others=sum(one.others for one in some),
        rows_without_prompt=sum(not one.prompt for one in some),
    )


def _in_order(labelled: Labelled, cuts: Cuts, pairs: Ints, counts: Counter[str]) -> Iterator[Solution]:
    row, end, label = labelled.paths.row[pairs], cuts.end[pairs].tolist(), labelled.label[pairs].tolist()
    begins = _begins(labelled, cuts)[pairs].tolist()
    # The pairs of a completion are neighbours; each text begins where the one before it ends.
    ends_row = np.flatnonzero(last_of_row(row)) + 1
    prompts = labelled.table["prompt"].to_list()
    masked = labelled.table.select(pl.col("mask").list.all().not_().fill_null(False)).to_series().to_list()
    for begin, until in pairwise([0, *ends_row.tolist()]):
        at = int(row[begin])
        text = cuts.text[at]
        assert text is not None
        spans = list(zip(begins[begin:until], end[begin:until], strict=True))
        alone = of_tools_alone(text, spans)
        kept = _worded(text, [n for n, tool in enumerate(alone) if not tool], spans, labelled.options.min_words)
        counts.update(steps_of_tools=sum(alone), steps_few_words=len(alone) - sum(alone) - len(kept))
        if not kept:
            counts["completions_without_label"] += 1
            continue
        ends, labels = [spans[n][1] for n in kept], tuple(label[begin + n] for n in kept)
        texts = tuple(text[a:b] for a, b in pairwise([0, *ends]))
        others = holds_words_of_others(text[: ends[-1]], masked=masked[at])
        yield Solution(at, prompts[at] or "", texts, labels, others)


def _begins(labelled: Labelled, cuts: Cuts) -> Ints:
    """Character at which the text of each pair begins; of several that end at one character that of the first."""
    opens, before = first_of_row(labelled.paths.row), np.roll(cuts.end, 1)
    fresh = opens | (cuts.end != before)
    return np.where(opens, 0, before)[fresh][np.cumsum(fresh) - 1]


def _worded(text: str, steps: Sequence[int], spans: Sequence[tuple[int, int]], least: int) -> list[int]:
    """Those of some steps before which, since the one before them, stand `least` words or more."""
    kept, begin = [], 0
    for n in steps:
        if len(text[begin : spans[n][1]].split()) >= least:
            kept.append(n)
            begin = spans[n][1]
    return kept
