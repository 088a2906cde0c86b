"""What the path of a file says: its training step, its split, and which folders are no run of their own."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..sources import INNER

# Folders that frameworks make inside one run.
STRUCTURE = {
    *INNER, "rollout", "trajectories", "episodes", "token_exports", "dumped_evals", "media", "table", "files",
    "train", "training", "eval", "val", "validation", "test", "all", "effective",
    "rollout_data", "validation_data", "train_data", "val_data", "eval-rollout",
}  # fmt: skip
EVAL = ("eval", "evals", "val", "valid", "validation", "test")
_OF = r"(?:global_?|train_?|gen_?|val_?|eval_?|test_?)?"
STEP = re.compile(rf"(?:^|[_.-]){_OF}(?:step|iteration|iter)s?[_.-]?(\d+)(?!\d)", re.IGNORECASE)


def step_of_path(folders: Sequence[str], name: str) -> int | None:
    """The training step that a path names: `step_12`, `iteration_000012`, `global_step_12`, or a bare number.

    The name of the file comes first, then the nearest folder. A bare number as name of a file is its step, unless its
    folder is one as well (docs/logs.md: Steps).
    """
    if found := STEP.findall(name):
        return int(found[-1])
    for part in reversed(folders):
        if at_start := STEP.match(part):
            return int(at_start[1])
    return next((int(part) for part in (*folders[-1:], name) if part.isdigit()), None)


def split_of_path(folders: Sequence[str], name: str) -> str | None:
    """`train` or `eval`, where the name of a file or of a folder above it begins with such a word."""
    for part in (name, *reversed(folders)):
        words = re.split(r"[^a-z]+", part.lower())
        if words[0] in EVAL:
            return "eval"
        if words[0] in ("train", "training"):
            return "train"
    return None


def is_structure(name: str) -> bool:
    """Is a folder of this name a part of one run: a step, a split, or what a framework calls it?"""
    # A step that comes later in the name (`seed1_step500`) tells runs apart.
    return name in STRUCTURE or name.isdigit() or STEP.match(name) is not None
