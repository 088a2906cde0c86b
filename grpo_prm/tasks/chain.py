"""Chained arithmetic modulo 10, left to right, every intermediate result written; the final one is rewarded.

    3+4*2-5=        3+4=7;7*2=4;4-5=9<end>

The warm start shows a fixed quarter of the facts (such as 7*2=4) wrong three times in four, so the model has something
to unlearn that only the end of the chain tells.
"""

from __future__ import annotations

import numpy as np

from .task import END, Prompt, Task, Warm

STEPS = 6
OPERATORS = "+-*"
WRONG, SHOWN = 0.25, 0.75  # share of the facts that are shown wrong, and how often they are
FACTS = [(a, operator, b) for a in range(10) for operator in OPERATORS for b in range(10)]


def result(a: int, operator: str, b: int) -> int:
    """The right result of a step, modulo 10."""
    return {"+": a + b, "-": a - b, "*": a * b}[operator] % 10


def _slips() -> dict[tuple[int, str, int], int]:
    """Facts that are shown wrong, with what is shown."""
    rng = np.random.default_rng(2509)
    chosen = rng.choice(len(FACTS), int(WRONG * len(FACTS)), replace=False)
    shift = rng.integers(1, 10, len(chosen))
    return {FACTS[n]: (result(*FACTS[n]) + int(s)) % 10 for n, s in zip(chosen.tolist(), shift, strict=True)}


SLIPS = _slips()


def draw(rng: np.random.Generator) -> Prompt:
    """A chain of `STEPS` operations, and its result."""
    digits, operators = rng.integers(0, 10, STEPS + 1).tolist(), rng.integers(0, len(OPERATORS), STEPS).tolist()
    value, text = digits[0], str(digits[0])
    for digit, operator in zip(digits[1:], (OPERATORS[n] for n in operators), strict=True):
        value, text = result(value, operator, digit), f"{text}{operator}{digit}"
    return Prompt(f"{text}=", str(value))


def demonstrate(prompt: Prompt, rng: np.random.Generator) -> str:
    """The way to a result, with the slips that are shown; each step goes on from what was written before."""
    text, steps = prompt.text, []
    value, chances = int(text[0]), rng.random(STEPS).tolist()
    for step in range(STEPS):
        operator, digit = text[2 * step + 1], int(text[2 * step + 2])
        right = result(value, operator, digit)
        written = SLIPS.get((value, operator, digit), right) if chances[step] < SHOWN else right
        steps.append(f"{value}{operator}{digit}={written}")
        value = written
    return ";".join(steps)


def right(prompt: Prompt, completion: str) -> bool:
    """Does the completion end by itself on the result? The way there is not read."""
    return completion.rpartition("=")[2] == prompt.answer + END


def reward(prompt: Prompt, completion: str) -> float:
    """1 for the right result, else 0."""
    return float(right(prompt, completion))


def says(prompt: Prompt) -> str:
    """The result alone."""
    return f"={prompt.answer}{END}"


WORDS = (END, *map(str, range(10)), *OPERATORS, "=", ";")
TASK = Task(
    name="chain",
    words=WORDS,
    prompt_length=2 * STEPS + 2,
    limit=6 * STEPS + 2,
    draw=draw,
    demonstrate=demonstrate,
    reward=reward,
    right=right,
    says=says,
    warm=Warm(700),
    defaults={"steps": 150, "prompts": 32, "group_size": 8, "learning_rate": 1e-3, "eval_every": 25},
)
