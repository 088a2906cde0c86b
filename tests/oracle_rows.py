"""Weights of rows by brute force: compare every prefix with every other row, and count."""

from __future__ import annotations

import numpy as np


def row_factors(rows, starts, groups, power, kind):
    """|λ|^-p of each completion token: rows with its group, its prompt and its completion up to this token."""

    def sharing(i, tokens):
        count = 0
        for j in range(len(rows)):
            same_tree = groups[j] == groups[i] and list(rows[j][: starts[j]]) == list(rows[i][: starts[i]])
            reached = list(rows[j][starts[j] : starts[j] + tokens]) == list(rows[i][starts[i] : starts[i] + tokens])
            count += same_tree and reached and len(rows[j]) - starts[j] >= tokens
        return count

    before = 0 if kind == "parent" else 1  # how many reached the decision, or how many took it
    return [
        np.array([sharing(i, t + before) ** -float(power) for t in range(len(rows[i]) - starts[i])])
        for i in range(len(rows))
    ]


def made_rows(seed, groups=3, k=5, vocabulary=3, longest=7):
    """Rows that share much, in no order: ids, where completions begin, names of groups."""
    rng = np.random.default_rng(seed)
    prompts = [rng.integers(0, vocabulary, rng.integers(1, 4)).tolist() for _ in range(2)]
    made = []
    for group in range(groups):
        for _ in range(k):
            prompt = prompts[rng.integers(0, 2)] if group else prompts[0]
            completion = rng.integers(0, vocabulary, rng.integers(0, longest)).tolist()
            made.append((prompt + completion, len(prompt), f"group {group}"))
    order = rng.permutation(len(made))
    return tuple(list(column) for column in zip(*(made[n] for n in order), strict=True))
