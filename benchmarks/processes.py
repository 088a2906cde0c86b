"""Time and peak memory of a whole process, as its user has it: start of the interpreter and imports included.

The process is started by this file, run as a script in an interpreter that has loaded next to nothing: Linux counts
the memory of the parent at the time of the start as memory of the child.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

KIB = 1 if sys.platform == "darwin" else 1024  # unit of ru_maxrss


class Usage(NamedTuple):
    """What a process took: wall-clock seconds, peak of resident memory in MB (1e6 bytes), its stderr, CPU seconds."""

    seconds: float
    megabytes: float
    stderr: str
    cpu: float


def measure(command: Sequence[str], environment: dict[str, str] | None = None) -> Usage:
    """Run a program to its end, stdout thrown away.

    Args:
        command: Program and arguments.
        environment: Variables to set beside those that are there.

    Raises:
        RuntimeError: It ended with another exit code than 0.
    """
    done = subprocess.run(
        [sys.executable, "-I", "-S", __file__, *command],
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {})},
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    seconds, peak, cpu = done.stdout.split()
    return Usage(float(seconds), int(peak) * KIB / 1e6, done.stderr, float(cpu))


def _launch(command: list[str]) -> int:
    """Run the program, print its seconds, the peak that the system gives and CPU seconds, and give its exit code."""
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    begin = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(process, 0)
    print(time.perf_counter() - begin, usage.ru_maxrss, usage.ru_utime + usage.ru_stime)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    sys.exit(_launch(sys.argv[1:]))
