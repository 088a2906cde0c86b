"""End a command by a signal at some moment, and judge what it leaves."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from killing.cases import Case, Content, Words

LOG = Path(__file__).parents[2] / "examples" / "chain.jsonl"
ROWS = 64  # of it
WORK = "work"
LIMIT = 600  # seconds of any command
OF_TORCH = "torchinductor_"  # an empty cache, which importing its optimizers makes
OURS = ".grpo-prm.json"  # the only hidden file of an output


class Ready(NamedTuple):
    """A case that can be tried: a folder to copy, what is there, what a whole run makes of it and how long it takes."""

    case: Case
    base: Path
    old: Content
    new: Content
    seconds: float


class Tried(NamedTuple):
    """One try: whether the command ended of its own before the signal came, and what is wrong."""

    over: bool
    faults: list[str]


def ready(case: Case, folder: Path) -> Ready:
    """Make what lies there before, and do the work once without a signal; in one place, which an output may name."""
    base, work = folder / "base", folder / WORK
    (work / "tmp").mkdir(parents=True)
    rows = LOG.read_text().splitlines(keepends=True)[:ROWS]
    (work / "half.jsonl").write_text("".join(rows[: ROWS // 2]))
    (work / "log.jsonl").write_text("".join(rows))
    for words in case.before:
        assert _run(work, words)[0] == 0, words
    shutil.copytree(work, base)
    begin = time.monotonic()
    assert _run(work, case.work)[0] == 0, case.work
    seconds = time.monotonic() - begin
    old, new = case.content(base / case.out), case.content(work / case.out)
    assert new and new != old
    shutil.rmtree(work)
    return Ready(case, base, old, new, seconds)


def attempt(ready: Ready, number: signal.Signals, share: float) -> Tried:
    """Start the work in a new folder, send it a signal after a share of its time, and look at what is there.

    Args:
        ready: What is tried.
        number: SIGKILL, or one that ends the command in order.
        share: Of the time that a whole run takes.
    """
    case, base, old, new, seconds = ready
    work = base.parent / WORK
    shutil.copytree(base, work)
    code, errors = _run(work, case.work, (number, share * seconds))
    out, over, faults = work / case.out, code == 0, []
    killed = number == signal.SIGKILL
    # before Python is there at all the system ends it, of which a shell says the same: 128 and the number
    if not over and code not in (-number, 128 + number):
        faults.append(f"exit code {code}")
    if "Traceback" in errors and not killed:
        faults.append("traceback: " + errors[-600:])
    if case.replaces and case.content(out) not in ([new] if over else [old, new]):
        faults.append("the output is neither the old one nor the new one")
    if not killed:
        faults += _litter(ready, work)
    go_on = case.go_on(out) if case.go_on else case.work
    if not over and (killed or case.go_on):
        code, errors = _run(work, go_on)
        if code:
            faults.append(f"{' '.join(go_on)}: exit code {code}: {errors[-600:]}")
        faults += [f"after another run {fault}" for fault in _litter(ready, work)]
        if (last := case.content(out)) != new:
            odd = [name for name in {*last, *new} if last.get(name) != new.get(name)]
            faults.append(f"another run does not come to the same: {', '.join(sorted(odd)[:5])}")
    shutil.rmtree(work)
    return Tried(over, faults)


def _litter(ready: Ready, work: Path) -> list[str]:
    """What lies there besides the input and the output, and hidden files in the output."""
    beside = {path.name for path in ready.base.iterdir()} | {ready.case.out}
    odd = [path for path in work.iterdir() if path.name not in beside]
    odd += [path for path in (work / "tmp").iterdir() if not path.name.startswith(OF_TORCH)]
    odd += [path for path in (work / ready.case.out).rglob(".*") if path.name != OURS]
    return [f"left: {path.relative_to(work)}" for path in sorted(odd)]


def _run(folder: Path, words: Words, end: tuple[signal.Signals, float] | None = None) -> tuple[int, str]:
    """Exit code and standard error; whatever the command started is over, too."""
    command = [sys.executable, "-m", "grpo_prm", *words]
    env = os.environ | {"TMPDIR": str(folder / "tmp"), "COLUMNS": "100"}
    with (folder.parent / "errors").open("w+b") as errors:
        process = subprocess.Popen(
            command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True
        )
        if end:
            with suppress(subprocess.TimeoutExpired):
                process.wait(end[1])
            _send(process, end[0])
        code = process.wait(LIMIT)
        deadline = time.monotonic() + LIMIT
        while _session_lives(process.pid) and time.monotonic() < deadline:  # workers of a process that was killed
            time.sleep(0.05)
        errors.seek(0)
        return code, errors.read().decode(errors="replace")


def _send(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Ctrl-C reaches all processes of a terminal, its workers too; other signals one."""
    with suppress(ProcessLookupError):
        if number == signal.SIGINT and process.poll() is None:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)


def _session_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
