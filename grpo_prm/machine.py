"""What this process may use of the machine: cores and memory, by the machine, its control groups and its load.

A container or a batch job often gets a part of the machine, which `os.cpu_count` and the total memory do not know.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import UsageError

UNLIMITED = 1 << 60  # bytes: a limit beyond it is none
SHARE = 0.5  # of the memory that is free: others want some, and tables take a little more than their bytes
LEAST = 256 << 20  # bytes: with less Python and its libraries alone would not fit
LOOK = 0.2  # seconds: a tick is a hundredth
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_ROOT = Path("/")  # tests put another in its place


def cores() -> float:
    """Processor cores that this process may use: affinity and quota; .5 where it gets half of one."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        allowed = os.cpu_count() or 1
    return min([allowed, *_quotas()])


def free_cores() -> int:
    """Whole cores that nobody uses now, at least 1; where Linux's clocks are, it looks at them for `LOOK` seconds."""
    idle = _idle_now()
    return max(1, int(min(cores(), _idle_by_load() if idle is None else idle) + 0.5))


def _idle_now() -> float | None:
    """Idle cores among those that this process may use; None where there is no telling.

    The load of the last minute would count what has just ended: a run after a run would get no core.
    """
    before = _clocks()
    if not before:
        return None
    time.sleep(LOOK)
    spent = {name: [b - a for a, b in zip(before[name], now, strict=True)] for name, now in _clocks().items()}
    shares = [(times[3] + times[4]) / sum(times) for times in spent.values() if sum(times) > 0]
    return sum(shares) if len(shares) == len(before) else None


def _clocks() -> dict[str, list[int]]:
    """Ticks of each core that this process may use: user, nice, system, idle, waiting for a disk, ..., stolen."""
    allowed = {f"cpu{n}" for n in os.sched_getaffinity(0)} if hasattr(os, "sched_getaffinity") else set()
    lines = (line.split() for line in _lines(_ROOT / "proc/stat"))
    return {words[0]: [int(word) for word in words[1:9]] for words in lines if words and words[0] in allowed}


def _idle_by_load() -> float:
    """Idle cores by the load of the last minute."""
    try:
        load = os.getloadavg()[0]
    except (AttributeError, OSError):
        load = 0.0
    # The load is of the whole machine, of which this process may have a part: its share of the idle ones.
    return cores() * max(0.0, 1 - load / (os.cpu_count() or 1))


def memory() -> int:
    """Bytes that a command may plan with: `SHARE` of what machine and control groups have free, at least `LEAST`."""
    free = min([_free_of_machine(), *_free_of_groups()])
    return max(LEAST, int(free * SHARE)) if free < UNLIMITED else 4 << 30


def memory_of(text: str) -> int:
    """A size as people write it, in bytes: `800M`, `2G`, `1.5GB`, `4GiB`.

    Raises:
        UsageError: It is no size, or smaller than `LEAST`.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:I?B)?\s*", text.upper())
    if not found:
        raise UsageError(f"--memory {text}: not a size. Write it like 800M or 2G.")
    size = int(float(found[1]) * _UNITS[found[2]])
    if size < LEAST:
        raise UsageError(f"--memory {text}: too little for any log. Give {LEAST >> 20}M or more.")
    return size


def _quotas() -> Iterator[float]:
    """Cores by the quota of each control group that this process is in."""
    for group in _groups("cpu"):
        quota = _words(group / "cpu.max")  # version 2: "max 100000" or "50000 100000"
        if not quota:
            quota = [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
        if len(quota) == 2 and quota[0] not in ("max", "-1") and float(quota[1]) > 0:
            yield float(quota[0]) / float(quota[1])


def _free_of_groups() -> Iterator[int]:
    for group in _groups("memory"):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            words = _words(group / limit)
            if words and words[0] != "max" and int(words[0]) < UNLIMITED:
                # Pages of files that were read count as used, and go when memory is wanted.
                cached = _field(group / "memory.stat", "inactive_file")
                yield max(0, int(words[0]) - int((_words(group / used) or ["0"])[0]) + cached)


def _free_of_machine() -> int:
    free = _field(_ROOT / "proc/meminfo", "MemAvailable:")
    return free << 10 if free else UNLIMITED


def _groups(controller: str) -> Iterator[Path]:
    """Folders of the control groups of this process with a controller, the innermost first, versions 1 and 2."""
    for line in _lines(_ROOT / "proc/self/cgroup"):
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names and controller not in names.split(","):
            continue
        top = _ROOT / "sys/fs/cgroup" / (controller if names else "")
        inner = top / path.lstrip("/")
        # In a container the path is that of the host: then the top is the group itself.
        yield from (folder for folder in (inner, *inner.parents) if folder == top or top in folder.parents)


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def _words(file: Path) -> list[str]:
    return " ".join(_lines(file)).split()


def _field(file: Path, name: str) -> int:
    """The number behind a name in a file of names and numbers; 0 without."""
    found = (line.split() for line in _lines(file))
    return next((int(words[1]) for words in found if len(words) > 1 and words[0] == name), 0)
