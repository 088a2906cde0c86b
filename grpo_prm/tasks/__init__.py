"""Tasks with a verifiable reward: built-in ones, one a file, and those of reasoning-gym."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from ..errors import UsageError
from .spec import GYM, names
from .task import END, Prompt, Task, Warm

__all__ = ["END", "TASKS", "Prompt", "Task", "Warm", "get_task", "get_tasks"]

TASKS = {"chain": "chain", "abstain": "abstain", "countdown": "countdown", "binary-tree": "binary_tree"}


def get_task(name: str) -> Task:
    """The task of a name, with its parameters where it takes any.

    Raises:
        UsageError: There is none, or it cannot be had.
    """
    if name.startswith(GYM):
        from .reasoning_gym import open_task

        return open_task(name)
    if name not in TASKS:
        near = get_close_matches(name, TASKS, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"No task is called {name}; there are {', '.join(TASKS)}, and {GYM}NAME.{meant}")
    return import_module(f".{TASKS[name]}", __name__).TASK


def get_tasks(spec: str) -> tuple[Task, ...]:
    """The tasks of `--task`, several of a mix.

    Raises:
        UsageError: One cannot be had, or a task with a small model of its own stands in a mix.
    """
    tasks = tuple(map(get_task, names(spec)))
    if alone := [task.name for task in tasks if task.words and len(tasks) > 1]:
        raise UsageError(f"--task {spec}: {alone[0]} has a small model of its own. Give it alone; {GYM} tasks mix.")
    return tasks
