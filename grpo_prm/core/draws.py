"""Random numbers by counter: a stream for each seed, of which any number is known without those before it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .forest import Ints

STEP = np.uint64(0x9E3779B97F4A7C15)
MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def scrambled(bits: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Numbers of 64 bits, each made another that shows nothing of it, in place: the finaliser of SplitMix64."""
    shifted = np.empty_like(bits)
    for shift, factor in MIX:
        bits ^= np.right_shift(bits, np.uint64(shift), out=shifted)
        bits *= np.uint64(factor)
    bits ^= np.right_shift(bits, np.uint64(31), out=shifted)
    return bits


def drawn(seeds: NDArray[np.uint64], below: int, number: int) -> Ints:
    """Numbers from 0 to `below` - 1, all equally likely but for `below` / 2^32, by SplitMix64.

    (Steele, Lea and Flood, Fast splittable pseudorandom number generators, 2014.)

    Args:
        seeds: One a stream, shape (streams,).
        below: At most 2^32.
        number: How many of each stream.

    Returns:
        Shape (streams, number), int64.
    """
    bits = scrambled(seeds[:, None] + STEP * np.arange(1, number + 1, dtype=np.uint64))
    bits >>= np.uint64(32)
    bits *= np.uint64(below)
    bits >>= np.uint64(32)
    return bits.view(np.int64)
