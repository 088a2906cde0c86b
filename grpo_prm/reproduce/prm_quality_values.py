"""True values of prefixes: the mean reward of continuations that the policy itself draws."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Protocol

import numpy as np
import polars as pl

Prefix = tuple[int, tuple[int, ...]]  # a prompt, and the first tokens of a completion
VALUES = -10_000  # step of the draws of continuations is this minus the length of the prefix
OF_PROMPT = 4  # times as many continuations: one value stands in every step of a group


class Sampler(Protocol):
    """What values are drawn with: a policy and prompts with numbers."""

    @property
    def ends(self) -> frozenset[int]:
        """Ids that end a completion."""
        ...

    @property
    def limit(self) -> int:
        """Tokens of a completion, at most."""
        ...

    @property
    def at_once(self) -> int:
        """Rows that are sampled together."""
        ...

    def reward(self, prompt: int, tokens: Sequence[int]) -> float:
        """Outcome reward of a completion of a prompt."""
        ...

    def draw(self, prompts: Sequence[int], prefixes: Sequence[Sequence[int]], k: int, step: int) -> list[list[int]]:
        """K continuations of each prefix (all of one length) of each prompt: completions less their prefix."""
        ...


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


def add_values(
    wanted: Iterable[Prefix], sampler: Sampler, continuations: int, known: dict[Prefix, float],
    of_prompt: int = OF_PROMPT,
) -> None:  # fmt: skip
    """Estimate the values of prefixes that are not known yet; of a completion that has ended it is its reward.

    Args:
        wanted: The prefixes.
        sampler: The policy.
        continuations: Of each prefix.
        known: Values of prefixes, which grows.
        of_prompt: Of a prompt alone so many times as many.
    """
    rewards: dict[Prefix, float] = {}  # few texts come often, and a reward takes longer than a look-up

    def reward(n: int, tokens: tuple[int, ...]) -> float:
        if (n, tokens) not in rewards:
            rewards[n, tokens] = sampler.reward(n, tokens)
        return rewards[n, tokens]

    new = sorted(set(wanted) - known.keys(), key=lambda prefix: (len(prefix[1]), prefix))
    ended = {prefix for prefix in new if has_ended(prefix, sampler)}
    known.update({prefix: reward(*prefix) for prefix in ended})
    for length, some in groupby([p for p in new if p not in ended], key=lambda prefix: len(prefix[1])):
        m = continuations if length else of_prompt * continuations
        left = list(some)
        for begin in range(0, len(left), max(1, sampler.at_once // m)):
            part = left[begin : begin + max(1, sampler.at_once // m)]
            drawn = sampler.draw([n for n, _ in part], [prefix for _, prefix in part], m, VALUES - length)
            for at, (n, prefix) in enumerate(part):
                own = [reward(n, prefix + tuple(more)) for more in drawn[at * m : (at + 1) * m]]
                known[n, prefix] = float(np.mean(own))


def has_ended(prefix: Prefix, sampler: Sampler) -> bool:
    """Is a prefix a whole completion? Its value is its reward then."""
    tokens = prefix[1]
    return len(tokens) >= sampler.limit or (len(tokens) > 0 and tokens[-1] in sampler.ends)
