"""A log that is written to while it is read: no pass reads further than another, and it is said."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

SAID = 3  # files that are named


class Stamp(NamedTuple):
    """Size in bytes and time of the last change in ns of a file; 0 and 0 where it cannot be looked at."""

    size: int
    modified: int


def stamp(path: Path) -> Stamp:
    """What tells that a file was written to."""
    try:
        about = path.stat()
    except OSError:
        return Stamp(0, 0)
    return Stamp(about.st_size, about.st_mtime_ns)


def changed(files: Iterable[tuple[str, Path, Stamp]]) -> Iterator[str]:
    """Say which files were written to.

    Args:
        files: Of each what messages call it, where it is, and what it was like when it was found.

    Yields:
        A sentence for each of the first ones, and one for all others.
    """
    odd = [(name, was, now) for name, path, was in files if (now := stamp(path)) != was]
    for name, was, now in odd[:SAID]:
        yield _said(name, was, now)
    if (more := len(odd) - SAID) > 0:
        yield f"{more:,} more {'file was' if more == 1 else 'files were'} written to while the log was read."


def _said(name: str, was: Stamp, now: Stamp) -> str:
    first = f"{was.size:,} bytes at the start ({_time(was)})"
    if now == (0, 0):
        return f"{name} was removed while it was read: {first}."
    then = f"{now.size:,} at the end ({_time(now)})"
    if now.size > was.size:
        return f"{name} grew while it was read: {first}, and no more is measured; {then}. The rest needs another run."
    return (
        f"{name} was written to while it was read: {first}, {then}. The numbers may be of both: run it again when "
        "nothing writes to it."
    )


def _time(at: Stamp) -> str:
    return datetime.fromtimestamp(at.modified / 1e9).isoformat(" ", "milliseconds")
