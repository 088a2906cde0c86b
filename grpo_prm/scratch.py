"""Names of what is there for the time being: each says which process made it, so that what a dead one left is swept."""

from __future__ import annotations

import atexit
import os
import platform
import re
import shutil
import tempfile
import zlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import UsageError

NEW, OLD = "new", "old"  # in a name: what is being written, what is being replaced
FOR_NOW = "tmp"  # and a folder of files that nobody is to keep


def _machine() -> str:
    """Of this machine, or of this container: several may share a disk, and each counts its own processes."""
    try:
        processes = os.readlink("/proc/self/ns/pid")
    except OSError:  # not Linux
        processes = ""
    return f"{zlib.crc32(f'{platform.node()}{processes}'.encode()):08x}"


MACHINE = _machine()
# Names that only `owned` gives, so that nobody else's hidden file is taken for one; `tempfile` adds the eight letters.
OWNED = re.compile(
    rf"(?:\.(.+)\.)?grpo-prm-({NEW}|{OLD}|{FOR_NOW})-([0-9a-f]{{8}})-(\d+)-[a-z0-9_]{{8}}(?:\.[^.]+)?", re.DOTALL
)
_NAME = 120  # bytes of a name that go into a temporary one: a file system takes 255
_swept: set[Path] = set()


def owned(kind: str, name: str = "") -> str:
    """The beginning of a temporary name: what it is, what it is for, and whose."""
    return f"{f'.{name}.' if name else ''}grpo-prm-{kind}-{MACHINE}-{os.getpid()}-"


def shortened(name: str) -> str:
    """As much of a name as a temporary one has room for."""
    return name.encode(errors="surrogateescape")[:_NAME].decode(errors="ignore")


def new_scratch(beside: Path | None = None) -> Path:
    """A new folder for files that nobody is to keep; whoever asks removes it.

    Args:
        beside: A file on whose disk it shall be; None: where the system keeps such files (TMPDIR).

    Raises:
        UsageError: None can be made there.
    """
    try:
        parent = beside.parent if beside else Path(tempfile.gettempdir())
        sweep_once(parent)
        return Path(tempfile.mkdtemp(dir=parent, prefix=owned(FOR_NOW, shortened(beside.name) if beside else "")))
    except OSError as error:  # where there is no room anywhere, `gettempdir` finds no folder
        where = f"beside {beside}" if beside else "for what is there for the time being"
        raise UsageError(
            f"No folder can be made {where} ({error.strerror}). Make room, or set TMPDIR to another disk."
        ) from error


@contextmanager
def scratch(beside: Path | None = None) -> Generator[Path]:
    """As `new_scratch`, gone when the block ends; where the process is killed in it, the next one sweeps it."""
    folder = new_scratch(beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep_once(folder: Path) -> None:
    """`sweep`, unless this process did it before: a folder may be written to for every step of a training."""
    place = folder.resolve()
    if place not in _swept:
        if not _swept:
            atexit.register(_sweep_own)
        _swept.add(place)
        sweep(place)


def _sweep_own() -> None:
    """At the end, remove what a signal left that came just after it was made, or while it was being removed."""
    for folder in _swept:
        with suppress(OSError):
            for entry in os.scandir(folder):
                found = OWNED.fullmatch(entry.name)
                if not found or entry.is_symlink() or (found[3], int(found[4])) != (MACHINE, os.getpid()):
                    continue
                if found[2] != OLD:
                    _remove(entry)
                else:  # with something in it, it is for `clear_away`
                    with suppress(OSError):
                        os.rmdir(entry)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Remove what processes that are dead were writing in a folder; what was being replaced stays for `clear_away`.

    Args:
        folder: Of this machine's processes alone; of others it is not known whether they run.
        below: In the folders below it, too.
    """
    with suppress(OSError):  # who may not look there has left nothing there
        for entry in os.scandir(folder):
            found = OWNED.fullmatch(entry.name)
            there = entry.is_dir(follow_symlinks=False)
            if found and found[2] != OLD and not entry.is_symlink() and not may_run(found[3], int(found[4])):
                _remove(entry)
            elif below and there:
                sweep(Path(entry.path), below=True)


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry, ignore_errors=True)
    else:
        with suppress(OSError):
            os.unlink(entry)


def may_run(machine: str, process: int) -> bool:
    """May this process still be running? Of another machine that is not known."""
    if machine != MACHINE or os.name != "posix":  # elsewhere os.kill ends a process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # of another user
        return True
    return True
