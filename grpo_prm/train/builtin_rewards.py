r"""Rewards that need no code of the user's: `exact`, `format` and `math`. Each is 0 or 1."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..errors import UsageError

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")


def final_answer(text: str) -> str:
    r"""What a text settles on: the inside of its last closed \boxed{}, else its last line that is not blank.

    A leading `####`, with which GSM8K marks its answers, is left out.
    """
    boxed = last_boxed(text)
    if boxed is not None:
        return boxed.strip()
    lines = text.strip().splitlines()
    return lines[-1].strip().removeprefix("####").strip() if lines else ""


def last_boxed(text: str) -> str | None:
    r"""The inside of the last \boxed{} whose braces close, None without one; escaped braces do not count."""
    for opening in reversed(list(_BOXED.finditer(text))):
        depth, at = 1, opening.end()
        for brace in re.finditer(r"\\.|[{}]", text[at:], re.DOTALL):
            depth += {"{": 1, "}": -1}.get(brace[0], 0)
            if not depth:
                return text[at : at + brace.start()]
    return None


def exact(*, completion: str, answer: str | None, **row: Any) -> float:
    """1 if the completion settles on the answer, letter by letter."""
    return float(final_answer(completion) == final_answer(_given(answer, "exact", row)))


def format_reward(*, completion: str, **_: Any) -> float:
    r"""1 if there is a \boxed{} that is not empty, after the thinking, and each of <think> and </think> comes once.

    </think> alone will do, as templates may open the thinking in the prompt; so will neither.
    """
    opened, closed = completion.count("<think>"), completion.count("</think>")
    rest = completion.rpartition("</think>")[2]
    tidy = (opened, closed) in ((0, 0), (0, 1), (1, 1)) and "<think>" not in rest
    return float(tidy and bool((last_boxed(rest) or "").strip()))


def math_reward() -> Callable[..., float]:
    """A reward that is 1 if the completion settles on something equal to the answer as mathematics, by math-verify.

    Raises:
        UsageError: math-verify is not installed.
    """
    try:
        from math_verify import parse, verify
    except ImportError:
        raise UsageError("--reward math needs math-verify. Install it: pip install 'grpo-prm[train]'") from None
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that its time limit is off: ours is on

    @lru_cache(maxsize=1 << 14)  # the completions of a group agree more often than not
    def equal(gold: str, given: str) -> float:
        meant = parse(gold, parsing_timeout=0)
        if not meant:
            raise ValueError(f"the answer {gold!r} cannot be read as mathematics")
        return float(verify(meant, parse(given, parsing_timeout=0), timeout_seconds=None))

    def judge(*, completion: str, answer: str | None, **row: Any) -> float:
        given = final_answer(completion)
        boxed = last_boxed(completion) is not None  # else a line of prose, in which math-verify looks for a result
        gold = final_answer(_given(answer, "math", row))
        return equal(f"\\boxed{{{gold}}}", f"\\boxed{{{given}}}" if boxed else given)

    return judge


def _given(answer: str | None, reward: str, row: dict[str, Any]) -> str:
    if answer is None:
        raise UsageError(
            f"--reward {reward} compares with the answer, and the data have none; their columns are"
            f" {', '.join(sorted(row)) or 'none'}. Name it with --answer-column."
        )
    return answer
