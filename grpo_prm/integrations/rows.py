"""Weights of rows as trainers hold them: prompt and completion in one sequence, in any order, several rows a rollout.

Trainers name a group by an id of its own, and a rollout may come as several rows: a context that was compacted, a turn
whose history was rewritten, a fork. Such a row is continued from another prompt than its rollout's first one, so rows
stand in one tree when both the id and the prompt are the same.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.groups import Groups
from ..errors import UsageError

Kind = Literal["process-set", "parent"]  # the placebo would need each trainer's normaliser


def check_weights(power: float, kind: str) -> None:
    """Refuse weights that a trainer here cannot carry, when it is switched on and not in its first step.

    Raises:
        UsageError: p is no number, negative or not finite, or the kind is not one of `Kind`.
    """
    if kind not in get_args(Kind):
        raise UsageError(
            f"kind is {kind!r}, which is no kind of weights here. Give one of {', '.join(get_args(Kind))}."
        )
    if isinstance(power, bool) or not isinstance(power, int | float) or not 0 <= power < np.inf:
        raise UsageError(f"power is {power!r}, but it is p in |λ|^-p. Give a number of at least 0.")


def completion_weights(
    rows: Sequence[ArrayLike],
    starts: Sequence[int],
    groups: Sequence[Hashable],
    power: float = 1.0,
    kind: Kind = "process-set",
) -> list[NDArray[np.float32]]:
    """|λ|^-p of every token behind the prompt (definitions: λ-GRPO; parent weights).

    Args:
        rows: Token ids of each row, prompt and completion, each of shape (T_i,). Ids that are no part of a vocabulary
            (an image) are allowed, each in [0, 2**31).
        starts: Where the completion begins, for each row. Tokens out of the loss behind it (tool output) part
            completions like any others.
        groups: The trainer's own name of each row's group.
        power: p, 0 or more; 0 is GRPO, 1 the paper's λ-GRPO.
        kind: `process-set` or `parent`.

    Returns:
        Factors in [0, 1] of each row, float32, shape (T_i - starts[i],).
    """
    ids = [np.asarray(row, np.int64) for row in rows]
    number: dict[tuple[Hashable, bytes], int] = {}
    trees = [
        number.setdefault((group, row[:start].tobytes()), len(number))
        for row, start, group in zip(ids, starts, groups, strict=True)
    ]
    completions = [row[start:] for row, start in zip(ids, starts, strict=True)]
    # The sizes of process sets ask for no rewards; Groups wants some.
    return Groups.of(completions, np.zeros(len(ids)), trees).lambda_weights(power, kind)


def sequence_weights(
    rows: Sequence[ArrayLike], groups: Sequence[Hashable], power: float = 1.0, kind: Kind = "process-set"
) -> list[NDArray[np.float32]]:
    """The same where nobody says where a completion begins: of every token of each row, those of the prompt included.

    Completions that agree up to a token agree on the prompt as well, so the tree of the whole rows has the same sets;
    rows of a group that read different prompts part by themselves.

    Args:
        rows: Token ids of each row without padding, prompt and completion, each of shape (T_i,).
        groups: The trainer's own name of each row's group.
        power: p, 0 or more; 0 is GRPO, 1 the paper's λ-GRPO.
        kind: `process-set` or `parent`.

    Returns:
        Factors in [0, 1] of each row, float32, shape (T_i,). No loss reads those of the prompt.
    """
    return completion_weights(rows, [0] * len(rows), groups, power, kind)


def only_value(values: NDArray[np.floating]) -> float | None:
    """The advantage of a completion whose tokens, shape (T,), all have the same; None where they have several."""
    return float(values[0]) if len(values) and (values == values[0]).all() else None
