"""How far two float32 computations of the same numbers may be apart: bounds by which tests compare them.

Adding n numbers rounds at most n times, each time by half of `EPS` of a partial sum, which is at most the sum of all
sizes. Two orders of adding, as other kernels and numbers of threads have them, are then at most n * EPS of that sum
apart. Kernels come nowhere near, since their roundings have both signs: a bound leaves a factor of about sqrt(n).
"""

from __future__ import annotations

from typing import Any

EPS = 2.0**-23  # of float32: the distance from 1 to the next number


def bound(terms: int, size: float = 1.0) -> float:
    """Distance of two float32 sums of `terms` numbers; `size` is the sum of their absolute values."""
    return terms * EPS * size


def of_model(model: Any, tokens: int, *, backward: bool = False) -> float:
    """Distance of two values that a model gives, for values of size 1: its roundings in a row, times EPS.

    On the way to a log-probability lie, one behind the other, a sum over the inner width of every weight, in every
    layer one over the places that are attended to, and one over the words. The way back is as long again, and ends in
    a sum over the tokens.

    Args:
        model: A causal language model of transformers.
        tokens: How many it reads, those of all rows.
        backward: The values are gradients.
    """
    widths = sum(max(p.shape) for p in model.parameters())
    places = model.config.get_text_config().num_hidden_layers * tokens
    return bound(2 * (widths + places) + tokens if backward else widths + places)
