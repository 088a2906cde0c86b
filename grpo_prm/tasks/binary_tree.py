"""The paper's synthetic tree: four binary decisions, 16 leaves, one of them the target.

A leaf that shares at least its first `SHARED` tokens with the target and is not the target gets `BAD` (our reading of
the paper's n, definitions: Results of the paper), every other leaf 0.7. The warm start shows all leaves equally often.
"""

from __future__ import annotations

import numpy as np

from .task import END, Prompt, Task, Warm

DEPTH = 4
TARGET = "0110"
SHARED, BAD, OTHERS = 1, -1.0, 0.7


def draw(_: np.random.Generator) -> Prompt:
    """The only prompt there is."""
    return Prompt(":", TARGET)


def demonstrate(_: Prompt, rng: np.random.Generator) -> str:
    """Any leaf."""
    return "".join("01"[bit] for bit in rng.integers(0, 2, DEPTH))


def right(prompt: Prompt, completion: str) -> bool:
    """Is it the target?"""
    return completion == prompt.answer + END


def reward(prompt: Prompt, completion: str, shared: int = SHARED, bad: float = BAD) -> float:
    """1 for the target, `bad` for what shares its start and for what is no leaf, else 0.7."""
    if right(prompt, completion):
        return 1.0
    leaf = completion.removesuffix(END)
    whole = completion.endswith(END) and len(leaf) == DEPTH and set(leaf) <= set("01")
    return bad if not whole or leaf[:shared] == prompt.answer[:shared] else OTHERS


TASK = Task(
    name="binary-tree",
    words=(END, "0", "1", ":"),
    prompt_length=1,
    limit=DEPTH + 1,
    draw=draw,
    demonstrate=demonstrate,
    reward=reward,
    right=right,
    says=lambda prompt: prompt.answer + END,
    warm=Warm(100),
    defaults={"steps": 250, "prompts": 1, "group_size": 16, "learning_rate": 3e-4},
)
