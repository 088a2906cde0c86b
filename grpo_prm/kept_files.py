"""Which entries of a folder are of others, where some names in it are ours."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path


def others_in(folder: Path, ours: Collection[str]) -> Iterator[str]:
    """Names of what is not ours, below a folder of ours with the folder before them.

    Args:
        folder: The folder.
        ours: Names in it. One with a slash is of a file in a folder of ours, of which all other files are of others.
    """
    shared = {name.partition("/")[0] for name in ours if "/" in name}
    for entry in folder.iterdir():
        # a link is dropped, and what it leads to stays
        if entry.name in shared and entry.is_dir() and not entry.is_symlink():
            below = (f"{entry.name}/{one.name}" for one in entry.iterdir())
            yield from (name for name in below if name not in ours)
        elif entry.name not in ours and not (entry.name in shared and entry.is_symlink()):
            yield entry.name


def ours_in(folder: Path, ours: Collection[str]) -> str | None:
    """The first name of ours that is there, or a file where a folder of ours would be; None where there is none."""
    shared = {name.partition("/")[0] for name in ours if "/" in name}
    files = (name for name in sorted(shared) if (folder / name).exists() and not (folder / name).is_dir())
    return next((name for name in sorted(ours) if (folder / name).exists()), next(files, None))
