"""What is trained on: prompts of every step, held-out prompts, and what a completion is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..tasks import Prompt, Task, get_task, get_tasks
from ..user_cache import user_cache
from . import task_prompts
from .config import TrainConfig
from .data import PromptRow, load_prompts
from .events import Event, Watch
from .policy import Policy, load, prepare
from .rewards import load_rewards
from .sample import check_lengths
from .time_limit import TimeUp, within
from .tiny import tiny_model
from .tree_fits import fits_tree

Marks = NDArray[np.float64]
Score = Callable[[Sequence[PromptRow], Sequence[str]], dict[str, Marks]]
Judge = Callable[[Prompt, str], float]


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
        majority: Share of prompts that the majority answer gets right (definitions: Majority answer); None where no
            answer is known.
    """

    name: str
    prompts: Callable[[int], list[PromptRow]]
    held_out: list[PromptRow]
    score: Score
    right: Callable[[Sequence[PromptRow], Sequence[str]], NDArray[np.float64]]
    tells: bool
    plain: bool
    weights: Mapping[str, float]
    majority: Callable[[Sequence[PromptRow]], float | None]


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
        return of_task(config.task, tokenizer, config, watch)
    return of_data(tokenizer, model, config, watch)


def warm_seed(config: TrainConfig) -> int:
    """Seed of the small model."""
    return config.seed if config.warm_seed is None else config.warm_seed


def of_task(spec: str, tokenizer: Any, config: TrainConfig, watch: Watch) -> Problem:
    """A task or a mix of them; prompts are drawn anew in every step.

    Raises:
        UsageError: A task cannot be had.
    """
    tasks = {task.name: task for task in get_tasks(spec)}
    every = list(tasks.values())
    evaluated = task_prompts.held_out(every, config)
    if (number := len(evaluated)) < config.eval_prompts:
        watch(Event("note", text=f"{number} prompts are held out and not {config.eval_prompts}: {spec} has no more."))
    said = task_prompts.constants(every, config)

    def judged(rows: Sequence[PromptRow], texts: Sequence[str], judge: Callable[[Task], Judge]) -> Marks:
        of_row = [judge(tasks[str(row.task)]) for row in rows]
        return np.array([_in_time(one, row, text, config) for one, row, text in zip(of_row, rows, texts, strict=True)])

    def score(rows: Sequence[PromptRow], texts: Sequence[str]) -> dict[str, Marks]:
        return {"reward": judged(rows, texts, lambda task: _reward(task, config))}

    def right(rows: Sequence[PromptRow], texts: Sequence[str]) -> Marks:
        return judged(rows, texts, lambda task: task.right)

    def majority(rows: Sequence[PromptRow]) -> float | None:
        known = [row for row in rows if row.task in said]
        return float(right(known, [said[str(row.task)] for row in known]).sum() / len(rows)) if known else None

    def prompts(step: int) -> list[PromptRow]:
        return task_prompts.as_rows(task_prompts.of_step(every, config, step), tokenizer, config)

    rows = task_prompts.as_rows(evaluated, tokenizer, config)
    plain = not every[0].words  # the end token is a word of a small model's answer
    return Problem(spec, prompts, rows, score, right, True, plain, {spec: 1.0}, majority)


def _reward(task: Task, config: TrainConfig) -> Judge:
    return task.partial if config.partial_credit and task.partial else task.reward


def _in_time(judge: Judge, row: PromptRow, text: str, config: TrainConfig) -> float:
    """What a completion is worth; 0 where a verifier hangs on it."""
    prompt = row.row["task"]
    if prompt.entry is None:  # a built-in task, which cannot hang
        return float(judge(prompt, text))
    try:
        return within(config.reward_timeout, lambda: float(judge(prompt, text)))
    except TimeUp:
        return 0.0


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
    common = Counter(row.answer for row in rows if row.answer is not None).most_common(1)

    def majority(given: Sequence[PromptRow]) -> float | None:
        return sum(row.answer == common[0][0] for row in given) / len(given) if common and given else None

    return Problem(str(config.data), prompts, held_out, rewards, right, False, True, weights, majority)


def as_read(tokenizer: Any, row: PromptRow) -> str:
    """A prompt as the model reads it: text again from its tokens."""
    return tokenizer.decode(row.ids, skip_special_tokens=False)


def _order(seed: int, epoch: int, number: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(number).tolist()
