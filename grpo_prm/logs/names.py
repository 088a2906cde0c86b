"""What a name on the command line stands for: a path, a glob, a pipe, an archive, or something elsewhere."""

from __future__ import annotations

import difflib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from ..errors import InputError
from .archives import expand, is_archive
from .pipes import Pipe, is_pipe, pipe_at, standard_input
from .remote import fetched, is_remote

_PARTS = re.compile(r"(\d+)")


class Place(NamedTuple):
    """A file, a folder or a pipe that is there.

    Attributes:
        path: The file or folder; of a pipe without a name of its own, `stdin` or `pipe`.
        name: What messages call it: as it was given.
        pipe: What is read instead of the path, where it is a pipe.
    """

    path: Path
    name: str
    pipe: Pipe | None = None


def places(given: str) -> Iterator[Place]:
    """What a name stands for, ready to be read: fetched and unpacked where that is needed.

    Args:
        given: A path, `-`, `~/...`, `file://...`, a glob that the shell did not expand, an address, or the name of a
            data set of the hub.

    Yields:
        Places; of a glob as many as it matches, in natural order (2 before 10).

    Raises:
        InputError: There is no such thing, or it cannot be read.
        UsageError: A package is missing that reads it.
    """
    if not given.strip():
        raise InputError("The name of a log is empty. Name a file, a folder, or - for standard input.")
    for name in expanded(given):
        if name == "-":
            place = Place(Path("stdin"), "-", standard_input())
        elif is_remote(name):
            place = Place(fetched(name), name)
        elif not os.path.exists(name):  # unlike that of pathlib, it takes any text
            raise InputError(f"{name}: no such file. {_meant(name)}")
        elif is_pipe(Path(name)):
            path = Path("pipe" if Path(name).name.isdigit() else name)
            place = Place(path, name, pipe_at(Path(name), name))
        else:
            place = Place(Path(name), name)
        if (place.pipe or place.path.is_file()) and is_archive(place.pipe or place.path, name):
            place = Place(expand(place.pipe or place.path, name), name)
        yield place


def expanded(given: str) -> list[str]:
    """The names that one stands for: mostly itself.

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


def _meant(name: str) -> str:
    """Where a path ends to be true, and what is called almost like what comes then."""
    path = Path(name)
    while not os.path.isdir(path.parent):
        path = path.parent
    if path != Path(name):
        return f"There is no folder {path}: check the path."
    try:
        stems = {other.partition(".")[0]: other for other in sorted(os.listdir(path.parent), reverse=True)}
    except OSError:
        stems = {}
    near = difflib.get_close_matches(path.name.partition(".")[0], filter(None, stems), 1, 0.8)
    return f"Did you mean {path.parent / stems[near[0]]}?" if near else "Check the path."
