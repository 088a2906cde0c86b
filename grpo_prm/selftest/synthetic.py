"""The parts that synthetic logs are put together from: paths through a tree, token ids, and the canonical table."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import ArrayLike, NDArray

from ..core.forest import Floats, Ints

ROOM = 1 << 12  # token ids of one prompt, so that two prompts share none
TAIL = 1 << 11  # among these the ids of tails, which no two completions of a group share
STEPS = 4  # training steps of a log


class Log(NamedTuple):
    """A synthetic log.

    Attributes:
        rows: Canonical rollouts, the rows of a group next to each other.
        truth: What is known of it, counted in its arrays and not by the analysis.
        outcome: The part of the reward that is the outcome, where parts are logged.
    """

    rows: pl.DataFrame
    truth: dict[str, float]
    outcome: str | None = None


def paths(rng: np.random.Generator, groups: int, k: int, chances: ArrayLike) -> Ints:
    """Choices of every completion, each position by itself.

    Args:
        rng: Of the draws.
        groups: How many.
        k: Completions of each.
        chances: Probability of each choice at each position, shape (positions, choices).

    Returns:
        Shape (groups, k, positions).
    """
    bounds = np.cumsum(chances, axis=1)[:, :-1]
    return (rng.random((groups, k, len(bounds), 1)) > bounds).sum(axis=-1)


def token_ids(choices: Ints, tail: int, shared: int = 0) -> Ints:
    """Token ids of paths and their tails.

    Args:
        choices: Shape (groups, k, positions), each below 8.
        tail: Tokens after the path that belong to one completion alone.
        shared: Positions whose ids are the same for all prompts.

    Returns:
        Shape (groups, k, positions + tail).
    """
    groups, k, positions = choices.shape
    room = np.arange(1, groups + 1)[:, None, None] * ROOM
    room = np.where(np.arange(positions + tail) < shared, 0, room)
    tails = TAIL + np.arange(k)[:, None] + np.zeros((groups, 1, tail), np.int64)
    return room + np.concatenate([np.arange(positions) * 8 + choices, tails], axis=2)


def log_of(
    tokens: Ints,
    rewards: Floats,
    *,
    lengths: Ints | None = None,
    outcome: str | None = None,
    truth: dict[str, float] | None = None,
    **columns: NDArray,
) -> Log:
    """A log from arrays.

    Args:
        tokens: Shape (groups, k, positions).
        rewards: Shape (groups, k).
        lengths: Tokens that each completion has, shape (groups, k); None: all.
        outcome: `Log.outcome`.
        truth: What is known beside the counts.
        columns: Further columns: `prompt` and `completion` (groups, k), parts of the reward (groups, k), and what each
            token has, `logprobs`, `mask` and so on, (groups, k, positions).
    """
    groups, k, positions = tokens.shape
    lengths = np.full((groups, k), positions) if lengths is None else lengths
    cut = lengths.ravel()
    number = np.repeat(np.arange(groups), k)
    rows: dict[str, object] = {
        "run": ["selftest"] * (groups * k),
        "step": number * STEPS // groups,
        "group": number,
        "group_key": [f"problem {n}" for n in number],
        "sample": np.tile(np.arange(k), groups),
        "prompt": [f"What is the answer to problem {n}?" for n in number],
        "completion": _lists(tokens, cut).list.eval("t" + pl.element().cast(pl.String)).list.join(" "),
        "tokens": _lists(tokens, cut),
        "reward": rewards.ravel().astype(np.float64),
        "tokens_from": ["log"] * (groups * k),
    }
    for name, values in columns.items():
        rows[name.replace("__", "/")] = _lists(values, cut) if values.ndim == 3 else values.ravel()
    in_loss = np.arange(positions) < lengths[..., None]
    counted = {
        "groups": groups,
        "completions": groups * k,
        "tokens": int((in_loss & columns.get("mask", True)).sum()),
        "duplicates": _duplicates(tokens, lengths),
        "zero_variance": int((rewards.max(axis=1) == rewards.min(axis=1)).sum()),
    }
    return Log(pl.DataFrame(rows), counted | (truth or {}), outcome)


def _lists(values: NDArray, lengths: Ints) -> pl.Series:
    """The first values of each row, as many as it has tokens, at least one."""
    by_row = values.reshape(len(lengths), -1)
    flat = {
        "row": np.repeat(np.arange(len(lengths)), lengths),
        "value": by_row[np.arange(by_row.shape[1]) < lengths[:, None]],
    }
    return pl.DataFrame(flat).group_by("row", maintain_order=True).agg("value")["value"]


def _duplicates(tokens: Ints, lengths: Ints) -> int:
    """Completions equal to an earlier one of their group."""
    distinct = {
        (g, tuple(row[:n].tolist())) for g in range(len(tokens)) for row, n in zip(tokens[g], lengths[g], strict=True)
    }
    return lengths.size - len(distinct)
