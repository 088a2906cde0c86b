"""What a task is: a built-in one with a small model of its own, or one for a model of the user's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np  # not at run time: what a task is called is asked before anything heavy is loaded

END = "<end>"


class Prompt(NamedTuple):
    """A prompt and what its reward is about.

    Attributes:
        text: What is asked.
        answer: The right answer; empty where there is none to compare with.
        entry: All that a verifier asks for.
    """

    text: str
    answer: str
    entry: Mapping[str, Any] | None = None


class Warm(NamedTuple):
    """A supervised warm start: optimizer steps, demonstrations a step, learning rate."""

    steps: int
    batch: int = 128
    rate: float = 4e-3


NONE = Warm(0)


def nothing(_: Prompt, __: np.random.Generator) -> str:
    """The demonstration of a task that has none."""
    return ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A task with a verifiable reward.

    Attributes:
        name: What `--task` calls it.
        limit: Tokens of the longest completion, the end token included.
        draw: A prompt.
        reward: What a completion is worth; of a small model its text ends in `END` where that was sampled.
        right: Whether it is right, which accuracy counts.
        says: The shortest completion that is right for a prompt, None where none is known.
        partial: The reward with partial credit, from 0 to 1; None: there is none.
        held_out: Which prompts are for evaluation and never trained on; None: none are kept apart.
        defaults: Training settings that suit the task.
        words: Tokens of the word-level tokenizer of its small model, `END` first; none: it has no small model.
        prompt_length: Tokens of the longest prompt, for the small model.
        demonstrate: A completion for the warm start, without the end token. It need not be right.
        warm: The warm start.
    """

    name: str
    limit: int
    draw: Callable[[np.random.Generator], Prompt]
    reward: Callable[[Prompt, str], float]
    right: Callable[[Prompt, str], bool]
    says: Callable[[Prompt], str | None]
    partial: Callable[[Prompt, str], float] | None = None
    held_out: Callable[[Prompt], bool] | None = None
    defaults: Mapping[str, object] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    prompt_length: int = 0
    demonstrate: Callable[[Prompt, np.random.Generator], str] = nothing
    warm: Warm = NONE
