"""Sampling: each distinct prompt once through the model, then one token at a time for the rows that still go on.

`generate` puts a prompt through the model once for each of its k completions, copies the whole cache at every token and
goes on with rows that have ended. And its draws depend on the batch; here each depends on (seed, step, group, sample,
position) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import InputError, UsageError
from .decoder import Decoder
from .packing import computing
from .sample_token import sample_token, stream_keys, uniforms

BLOCK = 256  # uniform numbers drawn at a time, a multiple of 4
CHECK_EVERY = {"cpu": 1}  # tokens between two checks of which rows have ended; elsewhere 8, since a check waits there
DEAD_SHARE = 8  # ended rows are dropped when they are one in so many

Choose = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Stop = Callable[[NDArray[np.int64]], NDArray[np.bool_]]


class Sampled(NamedTuple):
    """Completions of G groups of k; rows are group-major (row = group * k + sample).

    Attributes:
        completions: Token ids of each row, the end token included when it was sampled.
        logprobs: The sampler's log-probability of each token, float32, one array a row: of the tempered distribution
            before top_k and top_p cut it (of the untempered one if the temperature is 0).
        truncated: Stopped by the length limit, bool, shape (G * k,).
    """

    completions: list[list[int]]
    logprobs: list[NDArray[np.float32]]
    truncated: NDArray[np.bool_]


def sample(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    k: int,
    *,
    seed: int,
    step: int,
    names: Sequence[object],
    max_new_tokens: int,
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    eos: frozenset[int] = frozenset(),
    stop_after: Stop | None = None,
) -> Sampled:
    """Sample k completions of each prompt.

    What stands beside a prompt in a batch changes its log-probabilities by float noise, and its tokens only where that
    noise carries a bound of the cumulative distribution across a uniform number.

    Args:
        model: A causal language model of transformers, or peft around one, in any mode.
        prompts: Token ids of each group's prompt. Equal prompts are put through the model once.
        k: Completions of each.
        seed: Of the run.
        step: Of the training: each has draws of its own.
        names: Name of each group, such as its index in the whole step: its draws depend on it, not on its place here.
        max_new_tokens: Length limit of a completion.
        temperature: Divisor of the logits; 0 takes the likeliest token.
        top_p: Draw from the least set of likeliest tokens that has this probability; ties at its bound stay in.
        top_k: Draw from this many likeliest tokens, before `top_p`; ties at the bound stay in, 0 is all.
        eos: Ids that end a completion.
        stop_after: Other ends: given the tokens so far of the rows that go on, int64, shape (some rows, position + 1),
            whether each ends with this token. Called at every position.

    Raises:
        UsageError: A prompt is empty, or with `max_new_tokens` longer than the model's context.
        InputError: The model's logits are not finite.
    """
    if len(names) != len(prompts):
        raise ValueError(f"{len(prompts)} prompts have {len(names)} names")
    if max_new_tokens < 1:
        raise UsageError(f"A completion of {max_new_tokens} tokens cannot be sampled. Give --max-new-tokens 1 or more.")
    check_lengths(model, prompts, max_new_tokens, names)
    keys = stream_keys(seed, step, names, k)
    if not len(keys):
        return Sampled([], [], np.zeros(0, bool))

    def choose(logits: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        return sample_token(logits, numbers, temperature, top_p, top_k)

    # autocast keeps weights that it has made smaller until it ends, so one around all tokens makes them once
    with _evaluating(model), computing(model):
        decoder = _groups(model, prompts, k, max_new_tokens)
        tokens, logprobs, length, ended = _decode(decoder, keys, max_new_tokens, choose, eos, stop_after)
    if not np.isfinite(logprobs[np.arange(max_new_tokens) < length[:, None]]).all():
        raise InputError(
            f"Step {step}: the model gives logits that are not finite, so no token can be drawn."
            " Lower the learning rate, or use --dtype float32."
        )
    completions = [row[:end] for row, end in zip(tokens.tolist(), length, strict=True)]
    return Sampled(completions, [row[:end] for row, end in zip(logprobs, length, strict=True)], ~ended)


def check_lengths(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], new: int, names: Sequence[object] | None = None
) -> None:
    """Refuse prompts without tokens, and those that with `new` more are longer than the context.

    Raises:
        UsageError: The first such prompt, by its name or place.
    """
    context = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    for prompt, name in zip(prompts, range(len(prompts)) if names is None else names, strict=True):
        if not len(prompt):
            raise UsageError(f"Prompt {name} has no tokens. Leave it out, or put some text before it with --system.")
        if context and len(prompt) + new > context:
            raise UsageError(
                f"Prompt {name} has {len(prompt)} tokens, with {new} new ones {len(prompt) + new}, but the context of"
                f" the model is {context}. Lower --max-new-tokens, or leave the prompt out."
            )


@contextmanager
def _evaluating(model: PreTrainedModel) -> Generator[None]:
    """Evaluation mode and no gradients; afterwards each module has the mode that it had."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module in training:
            module.training = True


def _groups(model: PreTrainedModel, prompts: Sequence[Sequence[int]], k: int, limit: int) -> Decoder:
    """A decoder with k rows for each prompt, each distinct prompt read once."""
    place = {prompt: n for n, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    decoder = Decoder(model, list(place), limit)
    rows = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=decoder.logits.device)
    decoder.branch(rows, k)
    return decoder


def _decode(
    decoder: Decoder, keys: NDArray[np.uint64], limit: int, choose: Choose, eos: frozenset[int], stop_after: Stop | None
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Tokens and log-probabilities, shape (rows, limit); length of each row, and whether it ended by itself."""
    device, rows = decoder.logits.device, len(keys)
    tokens = torch.zeros(rows, limit, dtype=torch.int64, device=device)
    logprobs = torch.zeros(rows, limit, device=device)
    length = torch.full((rows,), limit, device=device)
    ended = torch.zeros(rows, dtype=torch.bool, device=device)
    stops = torch.tensor(sorted(eos), dtype=torch.int64, device=device)
    # The decoder drops rows that have ended, so its row n is row live[n] of the results.
    live = torch.arange(rows, device=device)
    every = CHECK_EVERY.get(device.type, 8)
    for t in range(limit):
        if t % BLOCK == 0:
            # numbers by row of the results: the draws of a completion do not depend on who else still goes on
            numbers = torch.from_numpy(uniforms(keys[live.cpu().numpy()], t, min(BLOCK, limit - t))).to(device)
        drawn, logprob = choose(decoder.logits, numbers[:, t % BLOCK])
        tokens[live, t], logprobs[live, t] = drawn, logprob.float()
        stop = torch.isin(drawn, stops)
        if stop_after is not None:
            stop |= torch.from_numpy(stop_after(tokens[live, : t + 1].cpu().numpy())).to(device)
        # Between two checks ended rows go on and write tokens behind their end; their length stays as it was.
        length[live] = torch.where(stop & ~ended[live], t + 1, length[live])
        ended[live] |= stop
        if t + 1 == limit:
            break
        if (t + 1) % every == 0:
            going = (~ended[live]).nonzero()[:, 0]
            if not len(going):
                break
            # to drop rows copies the cache, so it waits until it is worth it
            if DEAD_SHARE * (len(live) - len(going)) >= len(live):
                live, drawn, numbers = live[going], drawn[going], numbers[going]
                decoder.keep(going)
        decoder.read(drawn)
    return tuple(x.cpu().numpy() for x in (tokens, logprobs, length, ended))
