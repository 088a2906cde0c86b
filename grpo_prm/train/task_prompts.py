"""Prompts of a task or a mix of tasks: those of every step, those that are held out, and what one answer gets right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..errors import UsageError
from ..tasks import Prompt, Task
from ..tasks.majority import best_constant
from .config import TrainConfig
from .data import PromptRow, asked

HELD_OUT = 1 << 20  # stream of the held-out prompts: no training step has this number
CHOOSING = HELD_OUT + 1  # and that of the prompts by which the majority answer is chosen
CHOSEN_BY = 256  # prompts of each task
TRIES = 100  # draws for each prompt, after which a task is taken to have no more of them


class Drawn(NamedTuple):
    """Which task a prompt is of, and the prompt."""

    task: Task
    prompt: Prompt


def of_step(tasks: Sequence[Task], config: TrainConfig, step: int) -> list[Drawn]:
    """The prompts of a training step, the tasks of a mix in turn; a step's do not depend on the steps before.

    Raises:
        UsageError: A task has next to no prompts beside those that are held out.
    """
    rng = np.random.default_rng([config.seed, step])
    # counted over all steps, so that small steps go round the tasks, too
    first = step * config.prompts
    return [_trained(tasks[(first + n) % len(tasks)], rng) for n in range(config.prompts)]


def held_out(tasks: Sequence[Task], config: TrainConfig) -> list[Drawn]:
    """Prompts to evaluate on, the tasks of a mix in turn: never trained on, each once, of tasks that keep some apart.

    Returns:
        As many as the settings say, or fewer where a task has no more.
    """
    rng = np.random.default_rng([config.seed, HELD_OUT])
    found: dict[str, Drawn] = {}
    plain: list[Drawn] = []
    used_up: set[str] = set()
    for n in range(config.eval_prompts):
        task = tasks[n % len(tasks)]
        if task.held_out is None:
            plain.append(Drawn(task, task.draw(rng)))
        elif task.name not in used_up:
            fresh = _fresh(task, found, rng)
            found |= fresh
            used_up |= set() if fresh else {task.name}
    return [*plain, *found.values()]


def constants(tasks: Sequence[Task], config: TrainConfig) -> dict[str, str]:
    """The majority answer of each task that has one, by its name: chosen on prompts of training, not of evaluation."""
    rng = np.random.default_rng([config.seed, CHOOSING])
    every = {task.name: best_constant(task, [_trained(task, rng).prompt for _ in range(CHOSEN_BY)]) for task in tasks}
    return {name: said for name, said in every.items() if said is not None}


def as_rows(drawn: Sequence[Drawn], tokenizer: Any, config: TrainConfig) -> list[PromptRow]:
    """Prompts as the model reads them: a question through its chat template, that of a small model as it is."""
    texts = [prompt.text for _, prompt in drawn]
    if drawn and not drawn[0].task.words:
        read = asked(texts, config.system, tokenizer)
    else:
        read = [(text, tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    return [
        PromptRow(text, ids, prompt.answer, {"task": prompt}, task.name)
        for (text, ids), (task, prompt) in zip(read, drawn, strict=True)
    ]


def _fresh(task: Task, found: Mapping[str, Drawn], rng: np.random.Generator) -> dict[str, Drawn]:
    """A held-out prompt that was not found before, by its text; none where there seems to be no more."""
    for _ in range(TRIES):
        prompt = task.draw(rng)
        if task.held_out and task.held_out(prompt) and prompt.text not in found:
            return {prompt.text: Drawn(task, prompt)}
    return {}


def _trained(task: Task, rng: np.random.Generator) -> Drawn:
    for _ in range(TRIES):
        prompt = task.draw(rng)
        if task.held_out is None or not task.held_out(prompt):
            return Drawn(task, prompt)
    raise UsageError(f"--task {task.name}: has next to no prompts that are not held out. Change its parameters.")
