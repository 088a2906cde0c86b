"""The rewards of a run as TRL calls them: a function for each part, which share one judgement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..train.data import PromptRow
from ..train.problem import Problem


class Judged(NamedTuple):
    """What the rewards tell of the completions that this process has of a step.

    Attributes:
        failed: Completions without a reward.
        right: Number of right ones; None where the problem does not tell.
        rows: Number of completions.
        tokens: Of prompts, one for each group, and completions.
    """

    failed: int
    right: float | None
    rows: int
    tokens: int


class Judge:
    """Judges the completions of a step once, whatever the number of parts.

    Args:
        problem: What is trained on.
        tokenizer: Turns completions into text, as our trainer does.
        rows: All prompts of the training; the data set of TRL has their places here.
        k: Completions of a group.
    """

    def __init__(self, problem: Problem, tokenizer: Any, rows: Sequence[PromptRow], k: int) -> None:
        self._problem, self._tokenizer, self._rows, self._k = problem, tokenizer, rows, k
        self._ids: Any = None  # the list of the last judgement: TRL gives all functions of a step one list
        self._rewards: dict[str, NDArray[np.float64]] = {}
        self.judged = Judged(0, None, 0, 0)

    def functions(self) -> list[Callable[..., list[float]]]:
        """A reward function of TRL for each part, under its name.

        TRL leaves a part without a number out of the sum. Here such a completion has no reward, so all of its parts
        are NaN, which TRL takes for none.
        """
        return [self._part(name) for name in self._problem.weights]

    def _part(self, name: str) -> Callable[..., list[float]]:
        def part(completion_ids: list[list[int]], row: list[int], **_: Any) -> list[float]:
            if self._ids is not completion_ids:
                self._judge(completion_ids, row)
            total = self._rewards["reward"]
            return np.where(np.isfinite(total), self._rewards.get(name, total), np.nan).tolist()

        part.__name__ = name
        return part

    def _judge(self, ids: list[list[int]], places: list[int]) -> None:
        rows = [self._rows[place] for place in places]
        texts = self._tokenizer.batch_decode(ids, skip_special_tokens=self._problem.plain)
        self._ids, self._rewards = ids, self._problem.score(rows, texts)
        right = float(self._problem.right(rows, texts).sum()) if self._problem.tells else None
        prompts = sum(len(row.ids) for row in rows) // self._k
        failed = int((~np.isfinite(self._rewards["reward"])).sum())
        self.judged = Judged(failed, right, len(ids), prompts + sum(map(len, ids)))
