"""The small policies on which the hidden PRM is held against true values, and how their steps become a record.

A policy is a warm start of a built-in task, or one that was cut short and trained on with GRPO. Of each some groups are
sampled; every intermediate step of them gets its hidden reward, its true value and what a small PRM says of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..core.forest import depths
from ..core.groups import Groups
from ..core.overlap import identical
from ..core.reliability import step_noise
from ..logs.rollouts import SCHEMA
from ..tasks import END, Prompt, Task, get_task

AT_ONCE = 2_048  # rows sampled at a time: the policies are small
PROMPTS = 71  # stream of the prompts
GROUPS = -100  # step of the draws of groups of k is this minus k: no training step has it


class Policy(NamedTuple):
    """How a policy comes to be.

    Attributes:
        task: Its task.
        warm_steps: Steps of its warm start; 0: as the task has it.
        steps: Steps of GRPO after it, with the settings that suit the task.
    """

    task: str
    warm_steps: int = 0
    steps: int = 0


class Sampler(NamedTuple):
    """A policy that can be drawn from, and its prompts.

    Attributes:
        task: Of the policy.
        model: Of transformers.
        ends: Ids that end a completion.
        words: Text of each id.
        prompts: Of the task.
        ids: Token ids of each prompt.
        seed: Of everything that is drawn.
    """

    task: Task
    model: Any
    ends: frozenset[int]
    words: list[str]
    prompts: list[Prompt]
    ids: list[list[int]]
    seed: int

    @property
    def limit(self) -> int:
        """Tokens of a completion, at most."""
        return self.task.limit

    @property
    def at_once(self) -> int:
        """Rows that are sampled together."""
        return AT_ONCE

    def reward(self, prompt: int, tokens: Sequence[int]) -> float:
        """Outcome reward of a completion of one of the prompts."""
        return self.task.reward(self.prompts[prompt], "".join(self.words[token] for token in tokens))

    def draw(self, prompts: Sequence[int], prefixes: Sequence[Sequence[int]], k: int, step: int) -> list[list[int]]:
        """Draw k continuations of each prefix (all of one length) of each prompt: completions less their prefix."""
        from ..train.sample import sample

        return sample(
            self.model,
            [self.ids[n] + list(prefix) for n, prefix in zip(prompts, prefixes, strict=True)],
            k,
            seed=self.seed,
            step=step,
            names=[(n, *prefix) for n, prefix in zip(prompts, prefixes, strict=True)],
            max_new_tokens=self.task.limit - len(prefixes[0]),
            eos=self.ends,
        ).completions


def policy_record(
    settings: Mapping[str, Any], trained: bool, prompts: int, sizes: Sequence[Sequence[int]], continuations: int,
    folder: Path,
) -> pl.DataFrame:  # fmt: skip
    """Make a policy, sample groups of several sizes, and measure their steps.

    Args:
        settings: Fields of `TrainConfig`.
        trained: Whether GRPO follows the warm start.
        prompts: How many are drawn.
        sizes: Group sizes k, each with the number of prompts whose groups are sampled.
        continuations: Of each prefix; of a prompt four times as many.
        folder: Of the run, and of the export that the small PRM learns from.

    Returns:
        A row for each intermediate step of a group whose rewards differ, as `steps_table` and `with_values` give them,
        with `learnt_same` and `learnt_others`, what the small PRM says (`Learnt`); `k`; and `accuracy` of all
        completions.
    """
    from ..train.quiet import quiet_libraries
    from .prm_quality_head import learnt_values
    from .prm_quality_values import with_values

    quiet_libraries()
    sampler = make_sampler(settings, trained, prompts, folder)
    tables, known = [], {}
    for k, number in sizes:
        completions = sampler.draw(range(number), [()] * number, k, GROUPS - k)
        rewards = np.array([sampler.reward(row // k, tokens) for row, tokens in enumerate(completions)])
        groups = Groups.of(completions, rewards, k)
        table = with_values(steps_table(groups), completions, sampler, continuations, known)
        learnt = learnt_values(sampler, rollouts(sampler, completions, rewards, k), table, folder)
        said = {f"learnt_{name}": values for name, values in learnt._asdict().items()}
        tables.append(table.with_columns(**said, k=pl.lit(k), accuracy=pl.lit(float(rewards.mean()))))
    return pl.concat(tables)


def make_sampler(settings: Mapping[str, Any], trained: bool, prompts: int, folder: Path) -> Sampler:
    """The policy of some settings, trained in the folder if it is one that is, with prompts of its task."""
    from ..train.checkpoint import restore
    from ..train.config import make_config
    from ..train.events import nobody
    from ..train.loop import make_training, train
    from ..train.problem import open_problem

    config = make_config({**settings, "out": str(folder), "eval_every": 0, "eval_prompts": 1})
    if trained:
        train(config, resume=(folder / "checkpoints").exists())
    policy, _ = open_problem(config, nobody)
    if trained:
        restore(folder, make_training(policy, config))
    task, tokenizer = get_task(str(config.task)), policy.tokenizer
    rng = np.random.default_rng([config.seed, PROMPTS])
    drawn = [task.draw(rng) for _ in range(prompts)]
    ids = [tokenizer(prompt.text, add_special_tokens=False)["input_ids"] for prompt in drawn]
    words = [tokenizer.convert_ids_to_tokens(token) for token in range(len(tokenizer))]
    return Sampler(task, policy.model, policy.ends, words, drawn, ids, config.seed)


def steps_table(groups: Groups) -> pl.DataFrame:
    """What the groups themselves say of their intermediate steps; groups of equal rewards are left out.

    Args:
        groups: Of one size, in the order of their prompts.

    Returns:
        `prompt`, `row` (a completion of the step), `size`, `depth`, `start`, `end`, `tokens` (of all members), `reward`
        (R), `mean` (m), `advantage` (A), `noise`, `of_parent` (R of the parent step), `identical`.
    """
    forest = groups.forest
    kept = forest.intermediate & ~groups.zero[forest.group]
    of_root = groups.set_rewards[forest.parent < 0]
    columns = {
        "prompt": forest.group,
        "row": forest.order[forest.first],
        "size": forest.size,
        "depth": depths(forest),
        "start": forest.start,
        "end": forest.end,
        "tokens": np.bincount(groups.seen.step, groups.seen.tokens, len(forest.size)),
        "reward": groups.set_rewards,
        "mean": of_root[forest.group],
        "advantage": groups.set_advantages,
        "noise": step_noise(groups),
        "of_parent": groups.set_rewards[np.maximum(forest.parent, 0)],
        "identical": identical(forest),
    }
    return pl.DataFrame({name: values[kept] for name, values in columns.items()})


def rollouts(sampler: Sampler, completions: Sequence[Sequence[int]], rewards: np.ndarray, k: int) -> pl.DataFrame:
    """Groups as the canonical table, which `export` reads."""
    rows = len(completions)
    prompt = np.arange(rows) // k
    columns: dict[str, Any] = {
        "run": [sampler.task.name] * rows,
        "step": [0] * rows,
        "group": prompt,
        "group_key": [f"p{n}" for n in prompt],
        "sample": np.arange(rows) % k,
        "prompt": [sampler.prompts[n].text for n in prompt],
        "completion": ["".join(sampler.words[token] for token in tokens) for tokens in completions],
        "tokens": [list(tokens) for tokens in completions],
        "reward": rewards,
        "truncated": [not tokens or sampler.words[tokens[-1]] != END for tokens in completions],
        "tokens_from": ["log"] * rows,
    }
    missing = {name: [None] * rows for name in SCHEMA if name not in columns}
    return pl.DataFrame({**columns, **missing}, schema_overrides=SCHEMA, strict=False).select(*SCHEMA)
