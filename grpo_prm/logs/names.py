"""What a name on the command line stands for: ~, file:// and quoted globs are made the paths that they mean."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import InputError

_PARTS = re.compile(r"(\d+)")


def expanded(given: str) -> list[str]:
    """The paths that a name stands for: mostly itself.

    Args:
        given: A path, `~/...`, `file://...`, a glob that the shell did not expand, or anything else.

    Returns:
        Names in natural order (2 before 10); a name that stands for itself as it is.

    Raises:
        InputError: A glob that no file matches; a file:// of another machine.
    """
    name = _of_url(given) if given.lower().startswith("file:") else given
    name = os.path.expanduser(name) if name.startswith("~") else name
    if "://" in name or not glob.has_magic(name) or os.path.lexists(name):
        return [name]
    if found := glob.glob(name, recursive=True):
        return sorted(found, key=lambda path: [int(p) if p.isdigit() else p for p in _PARTS.split(path)])
    raise InputError(f"{given}: no file matches. {_nearby(name)}")


def _of_url(given: str) -> str:
    parts = urlsplit(given)
    if parts.netloc not in ("", "localhost"):
        raise InputError(f"{given}: names a file of the machine {parts.netloc}. Write file:/// and the whole path.")
    return unquote(parts.path)


def _nearby(pattern: str) -> str:
    """What does lie where a glob looks."""
    folder = Path(pattern)
    while glob.has_magic(str(folder)):
        folder = folder.parent
    if not folder.is_dir():
        return f"There is no folder {folder}: check the path."
    there = sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith("."))
    if not there:
        return f"The folder {folder} is empty: check the path."
    return f"In {folder} lie {', '.join(there[:3])}" + (f" and {len(there) - 3} more." if there[3:] else ".")
