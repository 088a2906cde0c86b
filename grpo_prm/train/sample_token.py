"""One token from one uniform number: the random stream of each completion, and the inverse of the distribution."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from ..core.seeds import group_seed

BLOCK = 256  # places whose probabilities are added first


def stream_keys(seed: int, step: int, names: Sequence[object], k: int) -> NDArray[np.uint64]:
    """Key of the stream of each completion, shape (groups * k, 2), from nothing but (seed, step, group, sample)."""
    groups = np.array([group_seed(int(seed), int(step), str(name)) for name in names], np.uint64)
    return np.stack([np.repeat(groups, k), np.tile(np.arange(k, dtype=np.uint64), len(groups))], axis=1)


def uniforms(keys: NDArray[np.uint64], begin: int, count: int) -> NDArray[np.float64]:
    """Numbers in [0, 1) at the places begin to begin + count of each stream: those of `Generator(Philox(key=key))`.

    Args:
        keys: Of the streams, shape (rows, 2).
        begin: First place, a multiple of 4: Philox makes four numbers at once.
        count: How many.

    Returns:
        Shape (rows, count).
    """
    if begin % 4:
        raise ValueError(f"the stream can be entered at multiples of 4, not at {begin}")
    stream = np.random.Philox(key=0)  # to set its key is ten times cheaper than to make one
    rng, state = np.random.Generator(stream), stream.state
    state["state"]["counter"][0] = begin // 4
    numbers = np.empty((len(keys), count))
    for key, row in zip(keys, numbers, strict=True):
        state["state"]["key"][:] = key
        stream.state = state
        rng.random(out=row)
    return numbers


def sample_token(
    logits: Tensor, numbers: Tensor, temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0
) -> tuple[Tensor, Tensor]:
    """The token of each row whose stretch of the cumulative distribution, in order of the ids, holds the number.

    Args:
        logits: Shape (rows, vocabulary); -inf is never drawn.
        numbers: In [0, 1), float64, shape (rows,); not looked at if the temperature is 0.
        temperature: Divisor of the logits; 0 takes the likeliest token.
        top_p: Draw from the least set of likeliest tokens that has this probability; ties at its bound stay in.
        top_k: Draw from this many likeliest tokens, before `top_p`; ties at the bound stay in, 0 is all.

    Returns:
        Token ids, int64, and their log-probabilities, float64, shape (rows,) each: under softmax(logits / temperature)
        before top_k and top_p cut it, under softmax(logits) if the temperature is 0. NaN where a logit is not finite.
    """
    logits = logits.float()
    if temperature not in (0, 1):
        logits = logits / temperature
    mass = logits.softmax(1)  # up to a factor: the total in float32 is off
    blocks = _block_sums(mass)
    total = blocks.sum(1)
    if temperature == 0:
        drawn = logits.argmax(1)
    elif top_p < 1 or 0 < top_k < logits.shape[1]:
        kept = _cut(mass, top_p, top_k)
        drawn = _invert(kept, _block_sums(kept), numbers)
    else:
        drawn = _invert(mass, blocks, numbers)
    return drawn, mass.gather(1, drawn[:, None])[:, 0].double().log() - total.log()


def _block_sums(mass: Tensor) -> Tensor:
    """Sums of `BLOCK` places each, shape (rows, blocks), float64; the last one may have fewer."""
    whole = mass.shape[1] - mass.shape[1] % BLOCK
    sums = mass[:, :whole].unflatten(1, (-1, BLOCK)).sum(2)
    return torch.cat([sums, mass[:, whole:].sum(1, keepdim=True)], 1).double()


def _invert(mass: Tensor, blocks: Tensor, numbers: Tensor) -> Tensor:
    """The place in each row whose stretch of the cumulative sum holds the number; a place without mass holds none.

    In float32 a cumulative sum over a large vocabulary would end away from its total, and in float64 it is slow. So the
    block is found by the sums of blocks, and in it the place, both in float64.
    """
    words = mass.shape[1]
    # of few words each is a block
    through = (mass.double() if words <= BLOCK else blocks).cumsum(1)
    goal = numbers[:, None] * through[:, -1:]  # rounded too it is below the total, as a number is at most 1 - 2^-53
    block = torch.searchsorted(through, goal, right=True).clamp_(max=through.shape[1] - 1)  # NaN goes past the end
    if words <= BLOCK:
        return block[:, 0]
    goal = goal - pad(through, (1, 0)).gather(1, block)  # what was searched, so it is not below 0
    places = block * BLOCK + torch.arange(BLOCK, device=mass.device)
    inside = mass.gather(1, places.clamp(max=words - 1)).where(places < words, 0.0).double().cumsum(1)
    # the sum of the block was rounded to float32, so it may be above that of its places
    goal = torch.minimum(goal, inside[:, -1:].nextafter(torch.zeros_like(goal)))
    return torch.searchsorted(inside, goal, right=True).add_(block * BLOCK).clamp_(max=words - 1)[:, 0]


def _cut(mass: Tensor, top_p: float, top_k: int) -> Tensor:
    """Leave the likeliest tokens their mass, shape (rows, vocabulary), and take it from the others."""
    if 0 < top_k < mass.shape[1]:
        # by the least mass that stays in, not by place: ties stay in whatever their order
        least = mass.topk(top_k, 1).values[:, -1:]
        mass = mass.where(mass >= least, 0.0)
    if top_p < 1:
        ranked = mass.sort(1, descending=True).values.double()
        before = ranked.cumsum(1) - ranked  # of the likelier tokens: a token is in while these have less than top_p
        inside = before < top_p * ranked.sum(1, keepdim=True)
        inside[:, 0] = True
        least = ranked.gather(1, inside.sum(1, keepdim=True) - 1)
        mass = mass.where(mass >= least, 0.0)
    return mass
