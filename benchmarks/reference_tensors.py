"""Reference A: λ weights as a trainer would get them, tensors in and tensors out, one group at a time.

At every position the completions that still have company are put into a dictionary keyed by their token; where it has
more than one key the tree branches and the function calls itself. A completion that is alone is done with at once, so
the time follows the shared tokens here too. The weight of each token is 1 / |λ| (p = 1).
"""

from __future__ import annotations

import torch
from torch import Tensor


def lambda_weights(completions: list[Tensor]) -> list[Tensor]:
    """Weights of the tokens of one group.

    Args:
        completions: Token ids, one tensor of shape (tokens,) per completion.

    Returns:
        1 / |λ| of each token, one float32 tensor of shape (tokens,) per completion.
    """
    pieces: list[list[Tensor]] = [[] for _ in completions]
    _descend(completions, list(range(len(completions))), 0, pieces)
    return [torch.cat(row) if row else torch.ones(0) for row in pieces]  # none: an empty completion


def _descend(completions: list[Tensor], rows: list[int], start: int, pieces: list[list[Tensor]]) -> None:
    """Weigh what `rows`, equal up to position `start`, have behind it."""
    if len(rows) == 1:
        pieces[rows[0]].append(torch.ones(len(completions[rows[0]]) - start))
        return
    at = start
    while True:
        children: dict[int, list[int]] = {}
        for row in rows:
            if at < len(completions[row]):
                children.setdefault(completions[row][at].item(), []).append(row)
        if len(children) != 1 or len(next(iter(children.values()))) < len(rows):
            break  # they fork, or one of them ends
        at += 1
    for row in rows:
        pieces[row].append(torch.full((at - start,), 1 / len(rows)))
    for members in children.values():
        _descend(completions, members, at, pieces)
