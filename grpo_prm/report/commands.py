"""Commands of the terminal that the page shows: as they can be pasted, every name quoted."""

from __future__ import annotations

import shlex
from typing import Any

from ..analysis.tables import Tables

FILES = 8  # in a command; nobody pastes the names of more
OPTIONS = {"format": "--format", "reward": "--reward", "tokenizer": "--tokenizer", "group_size": "--group-size"}


def group_name(folder: Tables, head: dict[str, Any]) -> str:
    """`[RUN:]STEP:KEY`, as commands call a group.

    Args:
        folder: The analysis; only of several runs the run is named.
        head: `run`, `step` and `group_key`.
    """
    run = f"{head['run']}:" if len(folder.summary["source"]["runs"]) > 1 else ""
    return f"{run}{'-' if head['step'] is None else head['step']}:{head['group_key']}"


def tree_of_kept(folder: Tables, head: dict[str, Any]) -> str:
    """What shows a group that the analysis kept, whole."""
    name = group_name(folder, head)
    if folder.path is None:  # nothing that a command could read
        return f"analysis.tree({name!r})"
    return shlex.join(["grpo-prm", "tree", str(folder.path), "--group", name, "--full"])


def tree_of_log(folder: Tables, *, running: bool = False) -> str | None:
    """What shows any group of the log, up to the name of the group, which is to follow.

    Args:
        folder: The analysis.
        running: Its path is the folder of the log itself.

    Returns:
        None where there is no such command: the log came from Python or a pipe, or has too many files.
    """
    source, options = folder.summary["source"], folder.summary["source"]["options"]
    files = [str(folder.path)] if running else source["files"]
    if folder.path is None or not 0 < len(files) <= FILES or "-" in files:
        return None
    words = ["grpo-prm", "tree", *files]
    for name, option in OPTIONS.items():
        words += [option, str(options[name])] if options.get(name) is not None else []
    if options.get("columns"):
        words += ["--columns", ",".join(f"{ours}={theirs}" for ours, theirs in options["columns"].items())]
    words += ["--drop-uneven"] if options.get("drop_uneven") else []
    return shlex.join([*words, "--group"])
