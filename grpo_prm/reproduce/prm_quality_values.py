"""True values of prefixes: the mean reward of continuations that the policy itself draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from .prm_quality_policies import Sampler

Prefix = tuple[int, tuple[int, ...]]  # a prompt, and the first tokens of a completion
VALUES = -10_000  # step of the draws of continuations is this minus the length of the prefix
OF_PROMPT = 4  # times as many continuations: one value stands in every step of a group
AT_ONCE = 2_048  # rows sampled at a time


def with_values(
    steps: pl.DataFrame, completions: Sequence[Sequence[int]], sampler: Sampler, continuations: int,
    known: dict[Prefix, float],
) -> pl.DataFrame:  # fmt: skip
    """Add the true values that belong to each step.

    Args:
        steps: `prompt`, `row`, `start`, `end` of each.
        completions: Token ids by row.
        sampler: The policy.
        continuations: Of each prefix.
        known: Values of prefixes, which grows: other groups of a prompt need the same ones.

    Returns:
        With `value` (V: mid of the values after the first token of the step and at its end. The first is that of a
        prefix that nobody chose; the end is where the members part, which is a choice), `value_before` (of the prefix
        that the step begins at) and `value_prompt` (V0).
    """
    places = list(zip(steps["prompt"].to_list(), steps["row"].to_list(), strict=True))

    def prefixes(ends: pl.Series) -> list[Prefix]:
        return [(n, tuple(completions[row][:end])) for (n, row), end in zip(places, ends.to_list(), strict=True)]

    after, end, before = (prefixes(steps[column] + more) for column, more in (("start", 1), ("end", 0), ("start", 0)))
    prompt: list[Prefix] = [(n, ()) for n, _ in places]
    add_values({*after, *end, *before, *prompt}, sampler, continuations, known)
    value = [[known[prefix] for prefix in some] for some in (after, end, before, prompt)]
    return steps.with_columns(
        value=(np.array(value[0]) + np.array(value[1])) / 2,
        value_before=np.array(value[2], np.float64),
        value_prompt=np.array(value[3], np.float64),
    )


def add_values(wanted: Iterable[Prefix], sampler: Sampler, continuations: int, known: dict[Prefix, float]) -> None:
    """Estimate the values of prefixes that are not known yet; of a completion that has ended it is its reward."""
    rewards: dict[Prefix, float] = {}  # few texts come often, and a reward takes longer than a look-up

    def reward(n: int, tokens: tuple[int, ...]) -> float:
        if (n, tokens) not in rewards:
            rewards[n, tokens] = sampler.reward(n, tokens)
        return rewards[n, tokens]

    new = sorted(set(wanted) - known.keys(), key=lambda prefix: (len(prefix[1]), prefix))
    ended = {p for p in new if len(p[1]) >= sampler.task.limit or (p[1] and p[1][-1] in sampler.ends)}
    known.update({prefix: reward(*prefix) for prefix in ended})
    for length, some in groupby([p for p in new if p not in ended], key=lambda prefix: len(prefix[1])):
        m = continuations if length else OF_PROMPT * continuations
        left = list(some)
        for begin in range(0, len(left), max(1, AT_ONCE // m)):
            part = left[begin : begin + max(1, AT_ONCE // m)]
            drawn = sampler.draw([n for n, _ in part], [prefix for _, prefix in part], m, VALUES - length)
            for at, (n, prefix) in enumerate(part):
                own = [reward(n, prefix + tuple(more)) for more in drawn[at * m : (at + 1) * m]]
                known[n, prefix] = float(np.mean(own))
