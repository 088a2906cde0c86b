"""Folders that hold one log under several names: every number of their summaries is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..analysis.tables import Tables

NAMED = ("source", "notes")  # of summary.json: how a log is called, which files it is of, and what is said of it


def equal_folders(folders: Sequence[Tables], names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """The folders that are equal to others in every number, together.

    Args:
        folders: Of `analyze`.
        names: What each is called.

    Returns:
        The names of each two or more that are equal, in the order of the first of each.
    """
    found: list[tuple[Any, list[str]]] = []
    for folder, name in zip(folders, names, strict=True):
        own = numbers(folder.summary)
        same = next((some for other, some in found if other == own), None)
        if same is None:
            found.append((own, [name]))
        else:
            same.append(name)
    return tuple(tuple(some) for _, some in found if len(some) > 1)


def numbers(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without its texts, in which the names of runs, groups and files stand; training steps are numbers.

    Args:
        summary: The content of summary.json.
    """
    kept = {key: value for key, value in summary.items() if key not in NAMED}
    return _without_texts(kept | {"steps": summary["source"]["steps"]})


def _without_texts(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_texts(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_texts(one) for one in value]
    return None if isinstance(value, str) else value
