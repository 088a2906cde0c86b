"""The files of logs that are still written: what is whole of each by now, and what has happened to them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ..errors import InputError, UsageError
from .archives import ENDING
from .containers.registry import container_of
from .layouts.find import NoLogs, list_sources, mark_repeated
from .names import expanded
from .pipes import is_pipe
from .sources import Source
from .unpacking import packing
from .whole_part import MAGIC, whole_lines, whole_table

FOLLOWED = {"jsonl": whole_lines, "parquet": whole_table}
OTHERS = {"json": "one JSON value", "csv": "a table of text"}
WHAT = "--follow reads JSON lines and parquet, which can be read while they are written"


class Look(NamedTuple):
    """The files as they are now.

    Attributes:
        sources: Those of which something is whole, in reading order; `size` and `until` are the bytes that are.
        again: Files that were read before, and hold something else now or are gone.
        said: Sentences for the user, each once.
    """

    sources: list[Source]
    again: frozenset[Path]
    said: list[str]


class _Seen(NamedTuple):
    """A file as it was: what tells it from another of its name, its kind, its bytes, and those that were whole."""

    inode: int
    time: int
    kind: str
    size: int
    whole: int


class GrowingFiles:
    """Looks at logs that are still written.

    Args:
        logs: Files and folders, which need not be there yet.
        run: Name of the run for all of them (`ReadOptions.run`).

    Raises:
        UsageError: Standard input, an address, an archive: what comes once.
    """

    def __init__(self, logs: Sequence[str | Path], run: str | None = None) -> None:
        self._logs, self._run = [str(log) for log in logs], run
        self._seen: dict[Path, _Seen] = {}
        self._told: set[Path] = set()  # files that cannot be followed
        self._sources: list[Source] = []
        for log in self._logs:
            if log == "-" or "://" in log or ENDING.search(log) or is_pipe(Path(log)):
                raise UsageError(f"{log}: cannot be followed. {WHAT}. Name a file or a folder, or leave out --follow.")

    def look(self) -> Look:
        """Look at the files again.

        Raises:
            InputError: A path is the folder of an analysis.
            UsageError: A file that the user named is packed, one JSON value, or a table of text.
        """
        said: list[str] = []
        again: set[Path] = set()
        before, self._seen, self._sources = self._seen, {}, []
        for source in _listed(self._logs, self._run):
            try:
                seen = self._seen_now(source, before.get(source.path), said, again)
            except OSError:  # taken away since, or not to be read: whoever reads it at the end says so
                continue
            if seen:
                self._seen[source.path] = seen
                if seen.whole:
                    self._sources.append(source._replace(size=seen.whole, until=seen.whole))
                elif seen.kind not in FOLLOWED:  # whoever reads all of it at the end sees what it is
                    self._sources.append(source)
        for path in before.keys() - self._seen.keys():
            if before[path].whole:
                said.append(f"{path}: is gone, and with it what was read of it.")
                again.add(path)
        followed = [source for source in self._sources if source.until is not None]
        return Look(followed, frozenset(again), said)

    def read(self) -> list[Source]:
        """All files as they were when they were looked at last, to be read as a log that is complete."""
        return mark_repeated(self._sources)

    def _seen_now(self, source: Source, before: _Seen | None, said: list[str], again: set[Path]) -> _Seen | None:
        """The file as it is now; None while nobody can tell what it is."""
        about = source.path.stat()
        if before and before.whole and (why := _replaced(before, about)):
            said.append(f"{source.name}: {why}, so it is read anew.")
            again.add(source.path)
            before = None
        if before and (before.time, before.size) == (about.st_mtime_ns, about.st_size):
            return before
        kind = before.kind if before and before.kind in FOLLOWED else _kind(source, about.st_size)
        if kind is None:
            return None
        if kind not in FOLLOWED and source.path not in self._told:
            self._told.add(source.path)
            if source.named:
                raise UsageError(f"{source.name}: is {kind}. {WHAT}. Leave out --follow once the file is complete.")
            said.append(f"{source.name}: is {kind}, which is not followed: it is read at the end.")
        whole = FOLLOWED[kind](source.path, before.whole if before else 0, about.st_size) if kind in FOLLOWED else 0
        return _Seen(about.st_ino, about.st_mtime_ns, kind, about.st_size, whole)


def _listed(logs: Sequence[str], run: str | None) -> list[Source]:
    """The files that are there; none where a folder is empty or not there yet."""
    there: list[str] = []
    for log in logs:
        with suppress(InputError):  # a glob that matches nothing yet
            there += [name for name in expanded(log) if os.path.exists(name)]
    try:
        return list_sources(there, run) if there else []
    except NoLogs:
        some = [name for name in there if _has_logs(name)]  # all at once, as their runs are named apart
        return list_sources(some, run) if some else []
    except FileNotFoundError:  # taken away since
        return []


def _has_logs(name: str) -> bool:
    try:
        return bool(list_sources([name]))
    except NoLogs:
        return False


def _replaced(before: _Seen, about: os.stat_result) -> str | None:
    """What happened to a file of which something was read already, if it did not only grow."""
    if about.st_ino != before.inode:
        return "was replaced"
    if about.st_size < before.whole:
        return "has shrunk"
    rewritten = before.kind == "parquet" and (about.st_mtime_ns, about.st_size) != (before.time, before.size)
    return "was written again" if rewritten else None


def _kind(source: Source, size: int) -> str | None:
    """What a file holds: a name of `FOLLOWED`, or words for another kind; None while that cannot be told."""
    if not size:
        return None
    with source.path.open("rb") as file:
        start = file.read(8)
    if named := packing(start):
        return f"packed with {named}"
    if start[:4] == MAGIC:
        return "parquet"
    if start.lstrip()[:1] == b"[":
        return OTHERS["json"]
    if not (until := whole_lines(source.path, 0, size)):
        return None
    try:
        name = container_of(source._replace(until=until, size=until)).name
    except InputError:
        if source.named:
            raise
        return "no log"
    return name if name in FOLLOWED else OTHERS.get(name, f"a file of {name}")
