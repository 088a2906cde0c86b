"""Sharing: how many tokens a group has for each token of its tree (definitions: Sharing)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .forest import Floats, Forest, add_up


class Sharing(NamedTuple):
    """Sums of each group, shape (groups,) each, float64; masked tokens count.

    Attributes:
        all_tokens: Tokens of all completions, without the prompt.
        tree_tokens: Tokens of the tree, each once.
        all_with_prompt: The same with the prompt in front of each completion; NaN where its length is not known.
        tree_with_prompt: The same with the prompt once; NaN where its length is not known.
    """

    all_tokens: Floats
    tree_tokens: Floats
    all_with_prompt: Floats
    tree_with_prompt: Floats


def sharing(forest: Forest, number: int, prompt: Floats | None = None) -> Sharing:
    """What tree-packed training or a prefix cache saves: tokens with and without repetition.

    Args:
        forest: The process steps, groups numbered from 0.
        number: How many groups there are.
        prompt: Tokens of the prompt of each group in the unit of its completions, NaN where not known, shape (groups,);
            None: of no group.
    """
    prompt = np.full(number, np.nan) if prompt is None else prompt
    every = add_up(forest.group, forest.size * forest.length, number)
    once = add_up(forest.group, forest.length, number)
    k = np.zeros(number)
    k[forest.group] = forest.k
    return Sharing(every, once, every + k * prompt, once + prompt)
