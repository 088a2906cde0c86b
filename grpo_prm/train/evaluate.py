"""Accuracy on held-out prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from ..core.interval import Interval, wilson
from . import ranks
from .data import PromptRow
from .sample import sample

Complete = Callable[[Sequence[PromptRow], Sequence[int]], list[list[int]]]

STREAM = -1  # the step that evaluation draws for: no training step has it, and every evaluation draws alike


def evaluate(
    model: PreTrainedModel,
    tokenizer: Any,
    rows: Sequence[PromptRow],
    right: Callable[[Sequence[PromptRow], Sequence[str]], NDArray[np.float64]],
    *,
    max_new_tokens: int,
    eos: frozenset[int],
    temperature: float = 0.0,
    top_p: float = 1.0,
    top_k: int = 0,
    seed: int = 0,
    plain: bool = True,
    batch: int = 256,
    complete: Complete | None = None,
) -> Interval:
    """Share of the prompts that one completion each gets right, with its Wilson interval.

    Args:
        model: A causal language model of transformers, in any mode.
        tokenizer: Turns completions into text.
        rows: The prompts; the draws of each depend on its place among them.
        right: 1 for each completion that is right, 0 for one that is not, NaN where that cannot be said, shape
            (completions,).
        max_new_tokens: Length limit of a completion.
        eos: Ids that end a completion.
        temperature: 0, the default, takes the likeliest token; else one completion is sampled.
        top_p: As in `sample`.
        top_k: As in `sample`.
        seed: Of the draws: the same at every evaluation, and for every method under comparison.
        plain: Leave special tokens out of the text.
        batch: Prompts at a time, alike in length.
        complete: Another sampler: prompts and their places among `rows` to the completion ids of each.

    Returns:
        Accuracy, low, high and the number of prompts of which something could be said; None where there are none.
    """

    def own(some: Sequence[PromptRow], names: Sequence[int]) -> list[list[int]]:
        return sample(
            model, [row.ids for row in some], 1, seed=seed, step=STREAM, names=names, max_new_tokens=max_new_tokens,
            temperature=temperature, top_p=top_p, top_k=top_k, eos=eos,
        ).completions  # fmt: skip

    order = np.argsort([len(row.ids) for row in rows], kind="stable").tolist()
    # alike in length, so that little is padding; the draws of a prompt go by its place in `rows`, not in the batch
    mine = ranks.share(len(order))
    order, correct, known = order[mine.start : mine.stop], 0, 0
    for begin in range(0, len(order), batch):
        names = order[begin : begin + batch]
        some = [rows[name] for name in names]
        texts = tokenizer.batch_decode((complete or own)(some, names), skip_special_tokens=plain)
        judged = right(some, texts)
        correct, known = correct + int(np.nansum(judged)), known + int(np.isfinite(judged).sum())
    correct, known = map(sum, zip(*ranks.gathered([(correct, known)]), strict=True))
    if not known:
        return Interval(None, None, None, 0)
    low, high = wilson(correct, known)
    return Interval(correct / known, float(low), float(high), known)
