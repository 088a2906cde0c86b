"""Reference B: λ weights by the leanest recursion on Python lists that we could write, one group at a time.

No call and no dictionary for each position: a set is walked down as long as its members agree, and a completion that is
alone is filled up in one go.
"""

from __future__ import annotations

from itertools import islice


def lambda_weights(completions: list[list[int]]) -> list[list[float]]:
    """Weights of the tokens of one group.

    Args:
        completions: Token ids, one list per completion.

    Returns:
        1 / |λ| of each token, one list per completion.
    """
    weights: list[list[float]] = [[] for _ in completions]
    _descend(completions, weights, 0)
    return weights


def _descend(completions: list[list[int]], weights: list[list[float]], start: int) -> None:
    """Extend the `weights` of completions that are equal up to position `start`."""
    if len(completions) == 1:
        weights[0].extend([1.0] * (len(completions[0]) - start))
        return
    at = start
    # Of four ways to walk (a set of the tokens, nested loops, least and greatest list) this one was the fastest.
    for column in zip(*(islice(tokens, start, None) for tokens in completions), strict=False):
        if column.count(column[0]) < len(column):
            break
        at += 1
    shared = [1 / len(completions)] * (at - start)
    children: dict[int, tuple[list[list[int]], list[list[float]]]] = {}
    for tokens, weight in zip(completions, weights, strict=True):
        weight.extend(shared)
        if at < len(tokens):
            members = children.setdefault(tokens[at], ([], []))
            members[0].append(tokens)
            members[1].append(weight)
    for members in children.values():
        _descend(*members, at)
