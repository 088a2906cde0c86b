"""What a built-in task is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

END = "<end>"


class Prompt(NamedTuple):
    """A prompt and what its reward is about."""

    text: str
    answer: str


class Warm(NamedTuple):
    """A supervised warm start: optimizer steps, demonstrations a step, learning rate."""

    steps: int
    batch: int = 128
    rate: float = 4e-3


@dataclass(frozen=True)
class Task:
    """A task with a verifiable reward.

    Attributes:
        name: What `--task` calls it.
        words: Tokens of its word-level tokenizer, `END` first.
        prompt_length: Tokens of the longest prompt.
        limit: Tokens of the longest completion, the end token included.
        draw: A prompt.
        demonstrate: A completion for the warm start, without the end token. It need not be right.
        reward: What a completion is worth; its text ends in `END` where that was sampled.
        right: Whether it is right, which held-out accuracy counts.
        warm: The warm start.
        defaults: Training settings that suit the task.
    """

    name: str
    words: tuple[str, ...]
    prompt_length: int
    limit: int
    draw: Callable[[np.random.Generator], Prompt]
    demonstrate: Callable[[Prompt, np.random.Generator], str]
    reward: Callable[[Prompt, str], float]
    right: Callable[[Prompt, str], bool]
    warm: Warm
    defaults: Mapping[str, object] = field(default_factory=dict)
