"""Countdown: reach a target from three numbers, each used once.

4,2,7:15        4*2=8;8+7=15<end>
"""

from __future__ import annotations

import re
from itertools import permutations, product

import numpy as np

from .task import END, Prompt, Task, Warm

HIGHEST, MOST = 9, 99  # a number given, and any result
STEP = re.compile(r"(\d+)([+*-])(\d+)=(\d+)")
SOLVED = 0.4  # of the demonstrations reach the target; the others are right arithmetic that ends somewhere


def compute(a: int, operator: str, b: int) -> int:
    """The result of a step."""
    return {"+": a + b, "-": a - b, "*": a * b}[operator]


def _walk(numbers: list[int], rng: np.random.Generator) -> tuple[str, int]:
    """Use every number once in a random way; results stay from 0 to `MOST`."""
    left, steps = [numbers[n] for n in rng.permutation(len(numbers))], []
    while len(left) > 1:
        a, b = left.pop(0), left.pop(0)
        operator = "+-*"[rng.integers(3)]
        if not 0 <= compute(a, operator, b) <= MOST:
            operator, a, b = ("-", max(a, b), min(a, b)) if operator == "-" else ("+", a, b)
        if not 0 <= compute(a, operator, b) <= MOST:
            operator, a, b = "-", max(a, b), min(a, b)
        value = compute(a, operator, b)
        steps.append(f"{a}{operator}{b}={value}")
        left.insert(0, value)
    return ";".join(steps), left[0]


def draw(rng: np.random.Generator) -> Prompt:
    """Three numbers, and a target that they can reach."""
    numbers = rng.integers(1, HIGHEST + 1, 3).tolist()
    return Prompt(f"{','.join(map(str, numbers))}:{(target := _walk(numbers, rng)[1])}", str(target))


def given(prompt: Prompt) -> list[int]:
    """The numbers of a prompt."""
    return [int(number) for number in prompt.text.partition(":")[0].split(",")]


def demonstrate(prompt: Prompt, rng: np.random.Generator) -> str:
    """Right arithmetic that uses every number once; it need not reach the target."""
    text, value = _walk(given(prompt), rng)
    tries = 60 if rng.random() < SOLVED else 0
    while str(value) != prompt.answer and tries:
        text, value = _walk(given(prompt), rng)
        tries -= 1
    return text


def right(prompt: Prompt, completion: str) -> bool:
    """Is every step right, made of what is left, and the last one the target with nothing left over?"""
    if not completion.endswith(END):
        return False
    left, value = given(prompt), None
    for step in completion.removesuffix(END).split(";"):
        if not (match := STEP.fullmatch(step)):
            return False
        a, b, value = int(match[1]), int(match[3]), int(match[4])
        if compute(a, match[2], b) != value or a not in left:
            return False
        left.remove(a)
        if b not in left:
            return False
        left.remove(b)
        left.append(value)
    return left == [int(prompt.answer)]


def reward(prompt: Prompt, completion: str) -> float:
    """1 for a right way to the target, else 0."""
    return float(right(prompt, completion))


def says(prompt: Prompt) -> str | None:
    """The first way to the target, numbers and operators in order."""
    for (a, b, c), first, then in product(permutations(given(prompt)), "+-*", "+-*"):
        value = compute(a, first, b)
        # what is left stands before the result as well as behind it
        for one, other in ((value, c), (c, value)):
            way = f"{a}{first}{b}={value};{one}{then}{other}={compute(one, then, other)}{END}"
            if right(prompt, way):
                return way
    return None


TASK = Task(
    name="countdown",
    words=(END, *map(str, range(MOST + 1)), *"+-*=;,:"),
    prompt_length=7,
    limit=14,
    draw=draw,
    demonstrate=demonstrate,
    reward=reward,
    right=right,
    says=says,
    warm=Warm(1000),
    defaults={"steps": 400, "prompts": 32, "group_size": 8, "learning_rate": 1e-3, "eval_every": 50},
)
