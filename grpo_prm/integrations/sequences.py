"""λ weights of whole sequences, prompt and completion as they stand in a trainer's batch.

A process set is the completions of a group that agree up to a token. They agree on the prompt as well, so the tree of
the whole sequences has the same sets, and nobody need find out where a completion begins: padding may be left or right,
tools may speak in between, and rows of one group that read different prompts part by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..core.groups import Groups

KINDS = ("process-set", "parent")  # the controls need how the loss weighs a completion: see `integrations.trl`


def sequence_weights(
    sequences: Sequence[ArrayLike], groups: Sequence[Any], power: float, kind: str
) -> list[NDArray[np.float32]]:
    """Factor of each token's whole loss term under λ-GRPO (definitions: λ-GRPO; parent weights).

    Args:
        sequences: Token ids of each row without padding, prompt and completion, in any order.
        groups: The group of each row, names or numbers, shape (rows,).
        power: p of |λ|^-p, at least 0; 0 is GRPO, 1 the paper's λ-GRPO.
        kind: `process-set` or `parent`.

    Returns:
        One array a row, as long as the row, float32. Those of the prompt are there too; no loss reads them.

    Raises:
        ValueError: The power is negative, or the kind is unknown.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind of weights {kind!r}: one of {', '.join(KINDS)}.")
    rows = [np.asarray(row) for row in sequences]
    # The weights follow from the tokens alone: any advantages will do.
    return Groups.of(rows, None, groups, advantages=np.zeros(len(rows))).lambda_weights(power, kind)
