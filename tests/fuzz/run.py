"""Damage logs of every shape at random, and read and analyse them: no traceback, no hang, no memory without end, no row
lost.

usage: python tests/fuzz/run.py [SECONDS] [ONLY]     (`make fuzz SECONDS=120 ONLY=nemo_rl`)

`seeds.zip` holds a small log of each shape. Hypothesis chooses edits of its JSON values or bytes; it makes those of a
failure as few as it can, and prints them. Copy what it prints into test_found.py. Exit 1 if anything failed.
"""

from __future__ import annotations

import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from damage import EDITS, damaged

from grpo_prm import analyze
from grpo_prm.errors import GrpoPrmError
from grpo_prm.logs import ReadOptions, collect, inspect
from grpo_prm.logs.rollouts import Rollouts

OFFS = (
    "mask",
    "step",
    "group",
    "reward",
    "prompt",
    "problem",
    "advantage",
    "logprobs",
    "tokens",
    "truncated",
    "sample",
)
LIMIT, MEMORY = 10, 6 << 30  # seconds of a core that a log may take, bytes in all
STUCK = 300  # seconds by the clock, for what waits for ever
EXAMPLES = 25  # damaged logs of one shape at a time
# Ways to read a log: most as it is.
READINGS = (
    {},
    {},
    {},
    {},
    {"ordered": False},
    {"spare_text": True},
    {"group_size": 2},
    {"group_size": 3, "drop_uneven": True},
    {"drop_uneven": True, "ordered": False},
    {"keep": ("x", "reward", "a.b")},
    {"run": "r"},
    {"reward": "reward+0.5*score"},
    {"reward": "-1*rewards"},
    {"format": "generic"},
    {"columns": {"completion": "output"}},
    {"columns": {"group": "index", "step": "-"}},
    *({"columns": {name: "-"}} for name in OFFS),
)


def seeds() -> dict[str, dict[str, bytes]]:
    """Name of a log to its files."""
    logs: dict[str, dict[str, bytes]] = {}
    with zipfile.ZipFile(Path(__file__).with_name("seeds.zip")) as archive:
        for path in archive.namelist():
            name, _, inner = path.partition("/")
            logs.setdefault(name, {})[inner] = archive.read(path)
    return logs


def read_damaged(files: dict[str, bytes], edits: list[tuple], options: dict[str, Any] | None = None) -> None:
    """Write a log with some edits, and read it; only a refusal may be raised."""
    with tempfile.TemporaryDirectory() as folder:
        for path, data in damaged(files, edits).items():
            file = Path(folder, path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        biggest = max(
            (file for file in Path(folder).rglob("*") if file.is_file()), key=lambda file: file.stat().st_size
        )
        log = within_limits(lambda: collected(folder, ReadOptions(**options or {})))
        also = int(edits[0][1] * 100) % 10  # what else is done with this log
        if also < 3:
            within_limits(lambda: inspect(folder, ReadOptions(**options or {})))
        if also in (3, 4):
            within_limits(lambda: collected(biggest, ReadOptions(**options or {})))
        if log is not None and not len(log.rejected) and also in (5, 6):
            # A log is read the same, in whichever order its steps come.
            again = within_limits(lambda: collected(folder, ReadOptions(**(options or {}) | {"ordered": False})))
            assert again is not None, "read when ordered, refused when not"
            assert len(again.table) == len(log.table), "another number of rows when not ordered"
        if log is not None and also == 7:
            within_limits(lambda: analyze(log))


def collected(path: str | Path, options: ReadOptions) -> Rollouts:
    """Read a log whole, and count its rows."""
    log = collect(path, options)
    "".join(log.notes).encode()
    counted = len(log.table) + len(log.rejected) + log.counts["rows_joined"]
    assert log.counts["rows_read"] == counted, "rows are lost"
    return log


def within_limits(read: Callable[[], Any]) -> Any:
    """What `read` returns, None where it refuses the log."""
    signal.setitimer(signal.ITIMER_PROF, LIMIT)  # not by the clock: others may be busy on this machine
    signal.setitimer(signal.ITIMER_REAL, STUCK)
    try:
        return read()
    except GrpoPrmError as error:
        str(error).encode()  # half of a surrogate pair could not be printed
        if len(str(error)) > 3000:
            raise ValueError("a message without end") from error
        return None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def hang(number: int, _frame: object) -> None:
    """End a read that takes too long."""
    raise TimeoutError(f"longer than {LIMIT} s of a core" if number == signal.SIGPROF else f"longer than {STUCK} s")


def main(arguments: list[str]) -> int:
    """Fuzz for some seconds; see the docstring of the file."""
    seconds = float(arguments[0]) if arguments else 60.0
    logs = {name: files for name, files in seeds().items() if len(arguments) < 2 or name == arguments[1]}
    if not logs:
        print(f"no log is called {arguments[1]}; there are {', '.join(seeds())}")
        return 2
    warnings.simplefilter("error")
    signal.signal(signal.SIGALRM, hang)
    signal.signal(signal.SIGPROF, hang)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    end, rounds, failed = time.monotonic() + seconds, 0, 0
    first = time.time_ns() % 2**32
    order = sorted(logs, key=lambda name: zlib.crc32(f"{first} {name}".encode()))  # another each time: a short run
    while time.monotonic() < end:  # does not come to all of them
        for name in order:
            files = logs[name]
            rounds += 1
            if fault := failure_of(name, files, first + rounds):
                failed += 1
                print(f"FAILED {name}: {fault}", flush=True)
            if time.monotonic() > end:
                break
    print(f"{rounds * EXAMPLES} damaged logs of {len(logs)} shapes: {failed} failures")
    return int(failed > 0)


def failure_of(name: str, files: dict[str, bytes], number: int) -> str | None:
    """Damage one log `EXAMPLES` times: the first failure with the fewest edits, None without one."""

    @seed(number)
    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(EDITS, min_size=1, max_size=4), st.sampled_from(READINGS))
    def one(edits: list[tuple], options: dict[str, Any]) -> None:
        try:
            read_damaged(files, edits, options)
        except Exception as error:
            error.add_note(f"read_damaged(seeds()[{name!r}], {edits!r}, {options!r})")
            raise

    try:
        one()
    except BaseException as error:
        first = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
        where = traceback.extract_tb(first.__traceback__)[-1]
        call = next((note for note in getattr(first, "__notes__", ()) if note.startswith("read_damaged")), "")
        return f"{type(first).__name__}: {str(first)[:200]} ({where.filename}:{where.lineno})\n  {call}"
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
