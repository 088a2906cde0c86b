"""Timing λ weights: the package's ways and a plain recursion in turn, and a step of the trainer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.random import Generator
from numpy.typing import NDArray

from ..core.forest import build_forest, expand
from ..core.groups import Groups

KS = (6, 36)
WORDS, FORK = 150_000, 0.02  # token ids; probability to leave the completion before at each token
NUMPY, TORCH, REFERENCE = "analyze (numpy)", "padded batch (torch)", "recursion"
PROMPTS, PROMPT, K, NEW, VOCABULARY = 8, 128, 8, 64, 2_000  # the trainer's named setting
STEP = "a training step"


def invented(rng: Generator, groups: int, k: int, length: int) -> NDArray[np.int64]:
    """Completions that share a geometric number of tokens with the one before, 50 on average: (groups, k, length)."""
    common = rng.geometric(FORK, (groups, k, 1))
    tokens = rng.integers(0, WORDS, (groups, k, length))
    for j in range(1, k):
        tokens[:, j] = np.where(np.arange(length) < common[:, j], tokens[:, j - 1], tokens[:, j])
    return tokens


def recursive_weights(completions: Sequence[Any]) -> list[Any]:
    """1 / |λ| of one group's completions, tensors of shape (tokens,), by the recursion that the definition suggests."""
    import torch

    weights = [torch.ones(len(row)) for row in completions]

    def descend(rows: list[int], start: int) -> None:
        # Go on while all members read the same token; where they fork, or one ends, the step [start, at - 1) is over.
        at, children = start, {0: rows}
        while len(rows) > 1 and len(children) == 1 and len(next(iter(children.values()))) == len(rows):
            children = {}
            for row in rows:
                if at < len(completions[row]):
                    children.setdefault(completions[row][at].item(), []).append(row)
            at += 1
        for row in rows:
            weights[row][start : at - 1] = 1 / len(rows)
        if len(rows) > 1:
            for members in children.values():
                descend(members, at - 1)

    descend(list(range(len(completions))), 0)
    return weights


def overhead_record(rounds: int, length: int, completions: int, steps: int, seed: int) -> pl.DataFrame:
    """Seconds per token of every way at each k, and seconds of a training step and what belongs to it, one a row."""
    rows = []
    for k in KS:
        tokens = invented(np.random.default_rng([seed, k]), completions // k, k, length)
        rows += [(f"k = {k}", way, seconds / tokens.size) for way, seconds in time_weights(tokens, rounds).items()]
    rows += [(STEP, part, seconds) for part, seconds in time_step(steps).items()]
    return pl.DataFrame(rows, schema=["setting", "what", "seconds"], orient="row")


def time_weights(tokens: NDArray[np.int64], rounds: int) -> dict[str, float]:
    """Least seconds of each way over all groups; in turn, and compared with one another first.

    Args:
        tokens: Ids, shape (groups, k, tokens).
        rounds: Turns of each.

    Raises:
        AssertionError: Two ways disagree on a weight.
    """
    import torch

    groups, k, length = tokens.shape
    flat, lengths, of_group = tokens.ravel(), np.full(groups * k, length), np.repeat(np.arange(groups), k)
    ids = torch.from_numpy(tokens.reshape(groups * k, length))
    each = [list(group) for group in ids.unflatten(0, (groups, k))]

    def by_forest() -> NDArray:
        forest = build_forest(flat, lengths, of_group)
        return expand(forest, (1 / forest.size).astype(np.float32))

    ways: dict[str, Callable[[], Any]] = {
        NUMPY: by_forest,
        TORCH: lambda: Groups.of(ids, np.zeros(groups * k), k, lengths=lengths).lambda_weights(),
        REFERENCE: lambda: [recursive_weights(group) for group in each],
    }
    # A way that is fast and wrong must not be timed.
    slow = torch.cat([row for group in ways[REFERENCE]() for row in group]).numpy()
    for name in (NUMPY, TORCH):
        if not np.allclose(np.asarray(ways[name]()).ravel(), slow, rtol=1e-6, atol=0):
            raise AssertionError(f"{name} and the recursion disagree on a weight")
    return _least(ways, rounds)


def time_step(steps: int) -> dict[str, float]:
    """Least seconds of a step of the trainer (Qwen2, 4 layers of 128, random weights), and of what in it is λ-GRPO's.

    Weights and figures are those of a batch that nothing has been asked of: it keeps its forest once it is built.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    from ..analysis.group_sums import group_sums
    from ..train.batch import Batch, batch_tokens
    from ..train.config import TrainConfig
    from ..train.sample import sample
    from ..train.update import update

    shape: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Qwen2ForCausalLM(Qwen2Config(vocab_size=VOCABULARY, eos_token_id=1, pad_token_id=0, **shape))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6)
    prompts = np.random.default_rng(0).integers(3, VOCABULARY, (PROMPTS, PROMPT)).tolist()
    config = TrainConfig(
        group_size=K, prompts=PROMPTS, max_new_tokens=NEW, learning_rate=1e-6, power=1.0, packing="padded",
        token_budget=1 << 30,
    )  # fmt: skip

    def step() -> Batch:
        sampled = sample(
            model, prompts, K, seed=0, step=0, names=range(PROMPTS), max_new_tokens=NEW, eos=frozenset([1])
        )  # fmt: skip
        rewards = np.array([(sum(row) * 31 + len(row)) % 97 / 97 for row in sampled.completions])
        batch = Batch(prompts, sampled.completions, K, rewards, sampled.truncated)
        update(model, optimizer, batch, config)
        group_sums(batch.measured(config.std))
        return batch

    batch = step()  # warms up: the first step allocates, and the optimizer makes its moments

    def weights() -> Batch:
        new = Batch(batch.prompts, batch.completions, K, batch.rewards, batch.truncated)
        batch_tokens(new, config)
        return new

    return _least(
        {
            "step": step,
            "weights": weights,
            "weights and figures": lambda: group_sums(weights().measured(config.std)),
        },
        steps,
    )


def _least(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Seconds of the fastest call of each, in turn: noise only adds."""
    least = dict.fromkeys(ways, np.inf)
    for _ in range(rounds):
        for name, call in ways.items():
            begin = time.perf_counter()
            result = call()
            least[name] = min(least[name], time.perf_counter() - begin)
            del result  # given back outside the time that is measured
    return least
