"""Built-in tasks with a verifiable reward, one a file: prompts, demonstrations for a warm start, reward."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module

from ..errors import UsageError
from .task import END, Prompt, Task, Warm

__all__ = ["END", "TASKS", "Prompt", "Task", "Warm", "get_task"]

TASKS = {"chain": "chain", "abstain": "abstain", "countdown": "countdown", "binary-tree": "binary_tree"}


def get_task(name: str) -> Task:
    """The task of a name.

    Raises:
        UsageError: There is none.
    """
    if name not in TASKS:
        near = get_close_matches(name, TASKS, 1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise UsageError(f"No task is called {name}; there are {', '.join(TASKS)}.{meant}")
    return import_module(f".{TASKS[name]}", __name__).TASK
