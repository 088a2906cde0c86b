"""What is trained on: prompts of every step, held-out prompts, and what a completion is worth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..tasks import Task, get_task
from ..user_cache import user_cache
from .config import TrainConfig
from .data import PromptRow, load_prompts
from .events import Event, Watch
from .packing import fits_tree
from .policy import Policy, load, prepare
from .rewards import load_rewards
from .sample import check_lengths
from .tiny import tiny_model

HELD_OUT = 1 << 20  # stream of the held-out prompts: no training step has this number
Score = Callable[[Sequence[PromptRow], Sequence[str]], dict[str, NDArray[np.float64]]]


class Problem(NamedTuple):
    """Prompts and rewards.

    Attributes:
        name: Of the task or the data.
        prompts: Prompts of a training step; the same for the same step and seed.
        held_out: Prompts to evaluate on; none of a data set without evaluation data.
        score: Rewards of completions, one a row of prompts: `reward` is what is trained on, other names its parts.
        right: 1 for a completion that is right, 0 for one that is not, NaN where that cannot be said, shape (rows,).
        tells: Whether `right` says more than a reward of 1 does, so that it is worth recording at every step.
        plain: Special tokens are no part of the text that is judged.
        weights: What each part of the reward weighs in the sum, by its name; the one part of a task has the task's.
    """

    name: str
    prompts: Callable[[int], list[PromptRow]]
    held_out: list[PromptRow]
    score: Score
    right: Callable[[Sequence[PromptRow], Sequence[str]], NDArray[np.float64]]
    tells: bool
    plain: bool
    weights: Mapping[str, float]


def open_problem(config: TrainConfig, watch: Watch) -> tuple[Policy, Problem]:
    """The policy to train, and what it is trained on.

    Raises:
        InputError: Model or data cannot be used.
    """
    model, tokenizer = open_model(config, watch)
    policy = prepare(model, tokenizer, config)
    if config.packing != "padded" and (why := fits_tree(policy.model)):
        watch(Event("note", text=f"{type(model).__name__} is trained padded: {why}."))
        policy = policy._replace(packs=False)
    return policy, problem_of(tokenizer, policy.model, config, watch)


def open_model(config: TrainConfig, watch: Watch) -> tuple[Any, Any]:
    """The model as it was before training, with its tokenizer: the user's, or the small one of the task.

    Raises:
        InputError: It cannot be used.
    """
    if config.model:
        return load(config, lambda text: watch(Event("note", text=text)))
    task = get_task(str(config.task))
    if config.warm_steps:
        task = replace(task, warm=task.warm._replace(steps=config.warm_steps))

    def tell(done: int, steps: int) -> None:
        watch(Event("warm", done, steps))

    return tiny_model(task, warm_seed(config), user_cache("warm"), tell)


def problem_of(tokenizer: Any, model: Any, config: TrainConfig, watch: Watch) -> Problem:
    """What a model is trained on.

    Raises:
        InputError: The data cannot be used.
    """
    if config.task:
        return of_task(config.task, tokenizer, config)
    return of_data(tokenizer, model, config, watch)


def warm_seed(config: TrainConfig) -> int:
    """Seed of the small model."""
    return config.seed if config.warm_seed is None else config.warm_seed


def of_task(name: str, tokenizer: Any, config: TrainConfig) -> Problem:
    """A built-in task; its prompts are drawn anew in every step."""
    task = get_task(name)

    def draw(stream: int, number: int) -> list[PromptRow]:
        rng = np.random.default_rng([config.seed, stream])  # a step's prompts do not depend on the steps before
        return [_row(task, tokenizer, rng) for _ in range(number)]

    def score(rows: Sequence[PromptRow], texts: Sequence[str]) -> dict[str, NDArray[np.float64]]:
        return {"reward": np.array([task.reward(row.row["task"], text) for row, text in zip(rows, texts, strict=True)])}

    def right(rows: Sequence[PromptRow], texts: Sequence[str]) -> NDArray[np.float64]:
        return np.array([float(task.right(row.row["task"], text)) for row, text in zip(rows, texts, strict=True)])

    held_out = draw(HELD_OUT, config.eval_prompts)
    return Problem(name, lambda step: draw(step, config.prompts), held_out, score, right, True, False, {name: 1.0})


def of_data(tokenizer: Any, model: Any, config: TrainConfig, watch: Watch) -> Problem:
    """The user's prompts in a shuffled order, again and again, and their reward functions."""
    columns = (config.prompt_column, config.answer_column, config.system, tokenizer, config.split)
    rows = load_prompts(str(config.data), *columns)
    # some tokenizers drop spaces or letters; one prompt is enough to notice
    read = as_read(tokenizer, rows[0])
    if rows[0].text.strip() not in read:
        watch(Event("note", text=f"The tokenizer changes the first prompt {rows[0].text!r}: the model reads {read!r}."))
    held_out = load_prompts(config.eval_data, *columns)[: config.eval_prompts] if config.eval_data else []
    check_lengths(model, [row.ids for row in (*rows, *held_out)], config.max_new_tokens)
    rewards = load_rewards(config.reward, config.reward_timeout, lambda text: watch(Event("note", text=text)))

    def prompts(step: int) -> list[PromptRow]:
        # places in an endless row of shuffled epochs: a step may lie across two, and a resumed run needs no state
        places = np.arange(step * config.prompts, (step + 1) * config.prompts)
        orders = {epoch: _order(config.seed, epoch, len(rows)) for epoch in np.unique(places // len(rows)).tolist()}
        return [rows[orders[place // len(rows)][place % len(rows)]] for place in places.tolist()]

    def right(given: Sequence[PromptRow], texts: Sequence[str]) -> NDArray[np.float64]:
        reward = rewards(given, texts)["reward"]
        # weights such as 0.7 and 0.3 add up to 1 only within rounding
        return np.where(np.isfinite(reward), reward >= 1.0 - 1e-9, np.nan)

    weights = {function.name: function.weight for function in rewards.functions}
    return Problem(str(config.data), prompts, held_out, rewards, right, False, True, weights)


def as_read(tokenizer: Any, row: PromptRow) -> str:
    """A prompt as the model reads it: text again from its tokens."""
    return tokenizer.decode(row.ids, skip_special_tokens=False)


def _order(seed: int, epoch: int, number: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(number).tolist()


def _row(task: Task, tokenizer: Any, rng: np.random.Generator) -> PromptRow:
    prompt = task.draw(rng)
    return PromptRow(
        prompt.text, tokenizer(prompt.text, add_special_tokens=False)["input_ids"], prompt.answer, {"task": prompt}
    )
