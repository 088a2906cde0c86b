"""Invented rollouts of any size, the same for one seed: a completion copies the start of another, then differs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

VOCABULARY = 150_000  # token ids, as of a present model: ids of five to six digits are what a log is made of
FORK = 0.02  # probability to leave the neighbour at each token, so that 50 tokens are shared on average
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


class Batch(NamedTuple):
    """Groups as `build_forest` takes them.

    Attributes:
        tokens: Token ids, completion after completion, shape (tokens,), int32.
        lengths: Tokens per completion, shape (completions,), int64.
        groups: Group of each completion, ascending, shape (completions,), int64.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int64]
    groups: NDArray[np.int64]


def branching(rng: Generator, groups: int, k: int, length: int) -> NDArray[np.int32]:
    """Token ids of groups whose prefix trees branch, shape (groups, k, length).

    A completion has a geometric number of tokens in common with the one before it, so with those before that as well
    up to the smallest number on the way. The numbers are drawn first: one seed gives the same trees at any length.
    """
    common = rng.geometric(FORK, (groups, k, 1))
    tokens = rng.integers(0, VOCABULARY, (groups, k, length), np.int32)
    at = np.arange(length)
    for j in range(1, k):
        tokens[:, j] = np.where(at < common[:, j], tokens[:, j - 1], tokens[:, j])
    return tokens


def all_shared(rng: Generator, groups: int, k: int, length: int) -> NDArray[np.int32]:
    """Token ids of groups of identical completions, shape (groups, k, length)."""
    return np.repeat(rng.integers(0, VOCABULARY, (groups, 1, length), np.int32), k, axis=1)


def batch(tokens: NDArray[np.int32]) -> Batch:
    """Flatten groups of completions of one length."""
    groups, k, length = tokens.shape
    return Batch(tokens.ravel(), np.full(groups * k, length), np.repeat(np.arange(groups), k))


def id_rows(seed: int, groups: int, k: int, length: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of a log with token ids, a training step at a time, without end; `length` tokens on average."""
    for step, tokens, lengths, rewards in _steps(default_rng(seed), groups, k, length):
        yield [
            {"step": step, "group": f"{step}-{g}", "tokens": tokens[g, j, : lengths[g, j]], "reward": rewards[g, j]}
            for g in range(groups)
            for j in range(k)
        ]


def text_rows(seed: int, groups: int, k: int, length: int) -> Iterator[list[dict[str, Any]]]:
    """Rows of a log with text and no ids, a training step at a time, without end; `length` words on average."""
    rng = default_rng(seed)
    words = _words(rng)
    for step, tokens, lengths, rewards in _steps(rng, groups, k, length):
        # The square makes the first words frequent, as in a language: what a tokenizer keeps in its cache matters.
        picked = words[((tokens / VOCABULARY) ** 2 * len(words)).astype(np.int64)]
        yield [
            {
                "step": step,
                "prompt": f"Question {step}-{g}: how much is it?",
                "completion": "".join(picked[g, j, : lengths[g, j]]),
                "reward": rewards[g, j],
            }
            for g in range(groups)
            for j in range(k)
        ]


def write_log(path: Path, steps: Iterable[list[dict[str, Any]]], megabytes: float) -> None:
    """Write training steps as JSON lines until the file has the size (1 MB = 1e6 bytes)."""
    size = 0
    with path.open("wb") as file:
        for rows in steps:
            size += file.write(b"".join(orjson.dumps(row, option=orjson.OPT_SERIALIZE_NUMPY) + b"\n" for row in rows))
            if size >= megabytes * 1e6:
                break
        file.flush()
        os.fsync(file.fileno())  # else the disk is still busy with it while others are timed


def _steps(rng: Generator, groups: int, k: int, length: int) -> Iterator[tuple[int, NDArray, NDArray, NDArray]]:
    """Number, token ids, lengths and rewards of each training step."""
    for step in count(1):
        lengths = rng.integers(length // 2, length + length // 2, (groups, k))
        tokens = branching(rng, groups, k, length + length // 2)
        yield step, tokens, lengths, (rng.random((groups, k)) < 0.4).astype(float)


def _words(rng: Generator, number: int = 5_000) -> NDArray[np.object_]:
    """Words with the space before or the mark behind them, numbers and line ends, shape (number,)."""
    made = ["".join(rng.choice(LETTERS, size)) for size in rng.integers(1, 12, number)]
    ends = rng.choice(["", ",", ".", ".\n", ":\n\n", " ="], number, p=[0.8, 0.06, 0.06, 0.04, 0.01, 0.03])
    digits = rng.random(number) < 0.08
    return np.array([f" {n % 1000 if digits[n] else made[n]}{ends[n]}" for n in range(number)], object)
