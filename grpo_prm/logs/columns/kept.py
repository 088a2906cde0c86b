"""Columns that are taken along under their own names, where a canonical table has no column of that name itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..rollouts import BESIDE, REWARD_PART, SCHEMA


def without_names_of_ours(keep: Sequence[str]) -> tuple[str, ...]:
    """The names that a canonical table has no column of, in their order."""
    return tuple(name for name in keep if not _ours(name))


def not_kept(keep: Sequence[str], paths: Mapping[str, str]) -> tuple[str, ...]:
    """Say which columns are not kept; one that is the column of that name itself is in the table anyway.

    Args:
        keep: As the user gave them.
        paths: Canonical column to path in the log.
    """
    return tuple(
        f"The column {name} is not kept: a canonical table has a column of that name, with another meaning."
        for name in dict.fromkeys(keep)
        if _ours(name) and paths.get(name) != name
    )


def _ours(name: str) -> bool:
    return name in SCHEMA or name in BESIDE or name.startswith(REWARD_PART)
