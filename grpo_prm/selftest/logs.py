"""Synthetic logs of known truth, one small function each of (seed, groups, k)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..core.forest import Floats, Ints
from .synthetic import Log, log_of, paths, token_ids

HALF = [0.5, 0.5]
TREE = [HALF] * 5  # five choices of two, then a tail: the texts of a group differ, their openings do not
CHANCE = (0.1, 0.9)  # of a right answer after either of the choices that decide


def noise(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Rewards are coins: no prefix and no text has anything to do with them; all texts differ."""
    rng = np.random.default_rng([seed, 0])
    return log_of(token_ids(paths(rng, groups, k, TREE), 3), _coins(rng, groups, k))


def copies(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Most texts come several times, and the frequent ones are right: good texts, but no good beginnings."""
    rng = np.random.default_rng([seed, 1])
    texts, rewards = _frequent_texts(rng, groups, k)
    return log_of(token_ids(texts, 0), rewards)


def deciding(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """The first token decides: right with .9 after one choice, with .1 after the other; nothing later matters."""
    rng = np.random.default_rng([seed, 2])
    choices = paths(rng, groups, k, TREE)
    value = np.array(CHANCE)[choices[..., 0]]
    rewards = (rng.random((groups, k)) < value).astype(np.float64)
    return log_of(token_ids(choices, 3), rewards, truth={"slope": _slope(choices, rewards, value)})


def boilerplate(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """All prompts have the same few openings, so completions of other prompts overlap as much; rewards are coins."""
    rng = np.random.default_rng([seed, 3])
    choices = paths(rng, groups, k, TREE)
    return log_of(token_ids(choices, 3, shared=len(TREE)), _coins(rng, groups, k))


def length(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Long completions are right, and how long one gets does not depend on how it begins."""
    rng = np.random.default_rng([seed, 4])
    tokens = token_ids(paths(rng, groups, k, TREE), 20)
    lengths = rng.integers(len(TREE) + 1, tokens.shape[2] + 1, (groups, k))
    return log_of(tokens, (lengths > 16).astype(np.float64), lengths=lengths)


def two_policies(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Half of each group comes from another policy, so one token after one prefix has two log-probabilities."""
    rng = np.random.default_rng([seed, 5])
    chances = np.array([TREE, [[0.7, 0.3]] * len(TREE)])
    half = k // 2
    choices = np.concatenate(
        [paths(rng, groups, n, chance) for n, chance in zip((half, k - half), chances, strict=True)], axis=1
    )
    policy = (np.arange(k) >= half).astype(np.int64)[None, :, None]
    logprobs = np.log(chances[policy, np.arange(len(TREE)), choices])
    widest = float(np.abs(np.log(chances[0] / chances[1])).max())
    return log_of(
        token_ids(choices, 3), _right(rng, choices), logprobs=_with_tail(logprobs), truth={"largest_spread": widest}
    )


def stale_sampler(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """The trainer's log-probabilities lie apart from the sampler's, equally for equal prefixes."""
    rng = np.random.default_rng([seed, 6])
    choices = paths(rng, groups, k, TREE)
    sampler = _with_tail(np.full(choices.shape, np.log(0.5)))
    # One shift for each position and choice: members of a process set have the same.
    shift = rng.normal(0.0, 0.6, (len(TREE), 2))[np.arange(len(TREE)), choices]
    shifts = np.concatenate([shift, rng.normal(0.0, 0.6, (groups, k, 3))], axis=2)
    trainer = np.minimum(sampler + shifts, 0.0)  # no log-probability is above 0
    gap = trainer.astype(np.float32).astype(np.float64) - sampler.astype(np.float32).astype(np.float64)
    weight = np.exp(gap)
    truth = {
        "effective_sample_size": float(weight.sum() ** 2 / (weight.size * (weight**2).sum())),
        "largest_gap": float(np.abs(gap).max()),
    }
    rewards = _right(rng, choices)
    return log_of(token_ids(choices, 3), rewards, logprobs=sampler, trainer_logprobs=trainer, truth=truth)


def format_only(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """The answers of a group are all right or all wrong; only the part for the form tells its completions apart."""
    rng = np.random.default_rng([seed, 7])
    answer = np.repeat(rng.integers(0, 2, (groups, 1)), k, axis=1).astype(np.float64)
    form = _coins(rng, groups, k)
    form[:, :2] = [0.0, 1.0]  # no group is without a difference in form
    return log_of(
        token_ids(paths(rng, groups, k, TREE), 3), answer + 0.5 * form, outcome="answer",
        reward__answer=answer, reward__form=form,
    )  # fmt: skip


def noisy_verifier(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Many copies, and the verifier throws a coin for each: copies of one text have different rewards."""
    rng = np.random.default_rng([seed, 8])
    texts, _ = _frequent_texts(rng, groups, k)
    return log_of(token_ids(texts, 0), _coins(rng, groups, k))


def constant(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Every group is all right or all wrong."""
    rng = np.random.default_rng([seed, 9])
    right = rng.integers(0, 2, groups)
    truth = {"all_right": int(right.sum()), "all_wrong": int(groups - right.sum())}
    rewards = np.repeat(right[:, None], k, axis=1).astype(np.float64)
    return log_of(token_ids(paths(rng, groups, k, TREE), 3), rewards, truth=truth)


def mixed_prompts(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """The rows of a group answer two prompts."""
    rng = np.random.default_rng([seed, 10])
    choices = paths(rng, groups, k, TREE)
    prompt = [[f"What is the answer to problem {g}{'ab'[j % 2]}?" for j in range(k)] for g in range(groups)]
    return log_of(token_ids(choices, 3), _right(rng, choices), prompt=np.array(prompt))


def tool_output(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """What a tool answered is trained on like the model's own tokens: no mask leaves it out."""
    return _with_tool(seed, groups, k, masked=False)


def masked_tool_output(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """The same rollouts with the tool's answers out of the loss, as it should be."""
    return _with_tool(seed, groups, k, masked=True)


def healthy(seed: int = 0, groups: int = 128, k: int = 8) -> Log:
    """Nothing to worry about: beginnings that matter, no copies, one policy, a trainer that agrees with the sampler."""
    rng = np.random.default_rng([seed, 12])
    choices = paths(rng, groups, k, TREE)
    logprobs = _with_tail(np.full(choices.shape, np.log(0.5)))
    return log_of(token_ids(choices, 3), _right(rng, choices), logprobs=logprobs, trainer_logprobs=logprobs)


LOGS: dict[str, Callable[..., Log]] = {
    one.__name__: one
    for one in (
        noise, copies, deciding, boilerplate, length, two_policies, stale_sampler, format_only, noisy_verifier,
        constant, mixed_prompts, tool_output, masked_tool_output, healthy,
    )
}  # fmt: skip


def _coins(rng: np.random.Generator, groups: int, k: int) -> Floats:
    return rng.integers(0, 2, (groups, k)).astype(np.float64)


def _right(rng: np.random.Generator, choices: Ints) -> Floats:
    """Rewards that the first token decides most of, as in `deciding`."""
    return (rng.random(choices.shape[:2]) < np.array(CHANCE)[choices[..., 0]]).astype(np.float64)


def _with_tail(logprobs: Floats, tail: int = 3) -> Floats:
    """Log-probabilities with those of a tail, whose tokens no other completion has."""
    return np.concatenate([logprobs, np.full((*logprobs.shape[:2], tail), -1.0)], axis=2)


def _frequent_texts(rng: np.random.Generator, groups: int, k: int) -> tuple[Ints, Floats]:
    """Texts of four choices, few of them likely, and rewards of texts: the likely ones are right more often."""
    chances = rng.dirichlet(np.full(16, 0.35), groups)
    text = (rng.random((groups, k, 1)) > np.cumsum(chances, axis=1)[:, None, :-1]).sum(axis=2)
    likely = chances > 1 / k
    right = rng.random((groups, 16)) < np.where(likely, 0.75, 0.25)
    digits = text[..., None] // 2 ** np.arange(3, -1, -1) % 2
    return digits, right[np.arange(groups)[:, None], text].astype(np.float64)


def _slope(choices: Ints, rewards: Floats, value: Floats) -> float:
    """Σ T (R - m)(V - V0) / Σ T (R - m)² over intermediate sets, the true value V that of the first choice.

    Sets by loops over prefixes: `reliability` estimates this number from the rewards alone.
    """
    above = below = 0.0
    start = float(np.mean(CHANCE))
    for g in range(len(choices)):
        mean, k = rewards[g].mean(), len(rewards[g])
        for t in range(choices.shape[2]):
            for i in range(k):
                same = (choices[g, :, : t + 1] == choices[g, i, : t + 1]).all(axis=1)
                if 1 < same.sum() < k and mean not in (0.0, 1.0):
                    far = rewards[g, same].mean() - mean
                    std = rewards[g].std(ddof=1)
                    above += far * (value[g, i] - start) / std**2
                    below += (far / std) ** 2
    return above / below


def _with_tool(seed: int, groups: int, k: int, masked: bool) -> Log:
    """A call after three choices, three tokens of the tool's answer, and two more choices."""
    rng = np.random.default_rng([seed, 11])
    choices = paths(rng, groups, k, TREE)
    call, after = token_ids(choices, 0)[..., :3], token_ids(choices, 3)[..., 3:]
    answer = np.broadcast_to(np.arange(1, 4), (groups, k, 3))
    tokens = np.concatenate([call, answer, after], axis=2)
    words = ["<tool_response>", "42", "</tool_response>"]
    text = [
        [" ".join([*(f"t{t}" for t in row[:3]), *words, *(f"t{t}" for t in row[6:])]) for row in group]
        for group in tokens.tolist()
    ]
    if not masked:
        return log_of(tokens, _right(rng, choices), completion=np.array(text))
    mask = np.ones(tokens.shape, bool)
    mask[..., 3:6] = False
    return log_of(tokens, _right(rng, choices), completion=np.array(text), mask=mask)
