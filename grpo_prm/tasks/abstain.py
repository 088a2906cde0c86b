"""Chain with a first decision, to answer or to pass: wrong -1, pass 0.7, right 1.

The paper's bad branch in a reasoning task: most answers are wrong at first, so the decision to answer is pushed down
together with the right answers behind it.
"""

from __future__ import annotations

import numpy as np

from . import chain
from .task import END, Prompt, Task, Warm

ANSWER, PASS = "?", "!"
PASSED, MISSED = 0.7, -1.0


def demonstrate(prompt: Prompt, rng: np.random.Generator) -> str:
    """Pass, or answer with the slips of chain: as often the one as the other."""
    return PASS if rng.random() < 0.5 else ANSWER + chain.demonstrate(prompt, rng)


def right(prompt: Prompt, completion: str) -> bool:
    """Is it an answer, and the right one?"""
    return completion.startswith(ANSWER) and chain.right(prompt, completion)


def reward(prompt: Prompt, completion: str) -> float:
    """1 for the right answer, 0.7 for passing, -1 for anything else."""
    if completion == PASS + END:
        return PASSED
    return 1.0 if right(prompt, completion) else MISSED


TASK = Task(
    name="abstain",
    words=(*chain.WORDS, ANSWER, PASS),
    prompt_length=chain.TASK.prompt_length,
    limit=chain.TASK.limit + 1,
    draw=chain.draw,
    demonstrate=demonstrate,
    reward=reward,
    right=right,
    says=lambda prompt: ANSWER + chain.says(prompt),
    warm=Warm(900),
    defaults={**chain.TASK.defaults, "learning_rate": 3e-4},  # at 1e-3 runs were seen to end in passing always
)
