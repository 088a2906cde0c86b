"""How much overlap is boilerplate: trees of completions of different prompts (definitions: Cross-prompt baseline).

The completions of a step are put into pseudo-groups in which no two answer the same prompt. What still overlaps there
("Okay, so I need to...") earns no credit by its branch.
"""

from __future__ import annotations

import numpy as np

from .forest import Ints


def pseudo_groups(prompts: Ints, samples: Ints, k: int, rng: np.random.Generator) -> Ints:
    """Put completions of groups of k into pseudo-groups of k completions of k different prompts.

    For each sample index the prompts are permuted and cut into floor(prompts / k) pseudo-groups; the rest is dropped.

    Args:
        prompts: Prompt of each completion, shape (completions,), dense from 0; each prompt has one group.
        samples: Place of the completion in its group, shape (completions,), 0 to k - 1.
        k: Group size.
        rng: Source of the permutations, one for each sample index in turn.

    Returns:
        Dense pseudo-group of each completion, -1 where it was dropped, shape (completions,).
    """
    pseudo = np.full(len(prompts), -1)
    number = int(prompts.max(initial=-1)) + 1
    groups = number // k if k else 0
    for sample in range(k):
        place = np.empty(number, np.int64)
        place[rng.permutation(number)] = np.arange(number)
        rows = np.flatnonzero(samples == sample)
        at = place[prompts[rows]] // k if k else place[:0]
        pseudo[rows] = np.where(at < groups, at + sample * groups, -1)
    return pseudo
