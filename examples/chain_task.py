"""The task of `chain.jsonl`: chained arithmetic modulo 10, left to right, with every intermediate result written.

    3+4*2-5=        3+4=7;7*2=4,4-5=9<end>

A step may be closed by a semicolon or by a comma: a choice that the reward does not care about.
"""

from __future__ import annotations

import random

END = "<end>"
DIGITS = "0123456789"
OPERATIONS = (3, 5)  # fewest and most in a chain


def draw_prompt(rng: random.Random) -> str:
    """Draw a chain such as `3+4*2-5=`."""
    chain = [rng.choice(DIGITS)]
    for _ in range(rng.randint(*OPERATIONS)):
        chain += [rng.choice("+-*"), rng.choice(DIGITS)]
    return "".join(chain) + "="


def operations(prompt: str) -> list[tuple[str, str]]:
    """Split `3+4*2=` into its operations, `[("+", "4"), ("*", "2")]`; the first operand is `prompt[0]`."""
    return list(zip(prompt[1:-1:2], prompt[2:-1:2], strict=True))


def right_step(value: str, operator: str, operand: str) -> str:
    """Write one step: `right_step("7", "*", "2")` is `"7*2=4"`."""
    a, b = int(value), int(operand)
    result = {"+": a + b, "-": a - b, "*": a * b}[operator] % 10
    return f"{value}{operator}{operand}={result}"


def demonstrate(prompt: str, slip: float, comma: float, rng: random.Random) -> str:
    """Write a solution; with probability `slip` a result is off by one and the next step goes on from it.

    Off by one, not any digit, so that several completions of a group make the same mistake and share what follows.

    Args:
        prompt: The chain.
        slip: Probability that the result of a step is one too high or, as often, one too low (modulo 10).
        comma: Probability that a comma, not a semicolon, closes a step; the last is closed by the end token.
        rng: Where the choices come from.

    Returns:
        The completion, end token included.
    """
    value, text = prompt[0], ""
    for operator, operand in operations(prompt):
        step = right_step(value, operator, operand)
        if rng.random() < slip:
            step = step[:-1] + str((int(step[-1]) + rng.choice((-1, 1))) % 10)
        text += step + ("," if rng.random() < comma else ";")
        value = step[-1]
    return text[:-1] + END


def reward_answer(prompt: str, completion: str) -> float:
    """1 if the completion ends by itself on the result of the chain, else 0; the way there is not read."""
    value = prompt[0]
    for operation in operations(prompt):
        value = right_step(value, *operation)[-1]
    return float(completion.rpartition("=")[2] == value + END)


def reward_steps(prompt: str, completion: str) -> float:
    """Share of the steps that are right, given the result written before; missing and superfluous ones are wrong."""
    todo, value, right = operations(prompt), prompt[0], 0
    written = completion.removesuffix(END).replace(",", ";").split(";")
    for operation, step in zip(todo, written, strict=False):
        right += value.isdigit() and step == right_step(value, *operation)
        value = step[-1:]  # empty, or no digit, after a broken step: its successor has no right way
    return right / max(len(todo), len(written))
