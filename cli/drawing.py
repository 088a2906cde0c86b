"""A second process that draws half of the figures of an analysis; it starts while the log is still read.

Drawing a small log takes several times as long as measuring it, and Python draws on one core only.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from grpo_prm.machine import cores
from grpo_prm.stopping import deaf_to_interrupts


class Drawer:
    """The process, which waits for its work; without one all is drawn here.

    Args:
        process: It; None where there is no core for it.
    """

    def __init__(self, process: subprocess.Popen[str] | None) -> None:
        self._process = process

    def draw(self, folder: Path) -> dict[str, str]:
        """Draw the figures of the folder of an analysis into `figures/` in it.

        Returns:
            Why a figure could not be drawn, by its name, as `plotting.draw` gives it.

        Raises:
            OSError, UsageError: They cannot be written.
        """
        from grpo_prm.analysis.folder import read_folder
        from grpo_prm.figures import FIGURES
        from grpo_prm.figures.plotting import draw

        names, failed = list(FIGURES), {}
        theirs = names[1::2] if self._ask(folder, names[1::2]) else []
        analyses = [read_folder(folder)]
        draw(analyses, folder / "figures", select=[name for name in names if name not in theirs], failed=failed)
        answer = self._answer() if theirs else {}
        if answer is None:  # it was killed, or met what all would meet, which is to be said here
            draw(analyses, folder / "figures", select=theirs, failed=failed)
        found = failed | (answer or {})
        return {name: found[name] for name in (*names, *found) if name in found}

    def _ask(self, folder: Path, names: list[str]) -> bool:
        if not (self._process and self._process.stdin):
            return False
        try:
            self._process.stdin.write(json.dumps([str(folder.resolve()), names]) + "\n")
            self._process.stdin.flush()
        except OSError:  # it has ended
            return False
        return True

    def _answer(self) -> dict[str, str] | None:
        assert self._process
        assert self._process.stdout
        try:
            return json.loads(self._process.stdout.readline())
        except ValueError:
            return None


@contextmanager
def drawer(wanted: bool = True) -> Generator[Drawer]:
    """Start the process, if it is wanted and there are two cores; it is gone afterwards, whatever happens."""
    process = _started() if wanted and cores() >= 2 else None
    try:
        yield Drawer(process)
    finally:
        if process:
            process.kill()
            for stream in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not written to it is of no use
                    if stream:
                        stream.close()
            process.wait()


def _started() -> subprocess.Popen[str] | None:
    # The path is that of this process: a file of the working directory must not pass for a module.
    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import work; work()"
    with suppress(OSError, ValueError), deaf_to_interrupts():  # no Python to start, no room for a process
        command, pipe = [sys.executable, "-c", code], subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)  # noqa: S603 - code of ours
    return None


def work() -> None:
    """Draw what is asked for on standard input, and answer on standard output; end when there is nobody any more."""
    from grpo_prm.analysis.folder import read_folder
    from grpo_prm.figures.plotting import draw

    from .warned import say_warnings

    say_warnings()
    line = sys.stdin.readline()
    if not line:
        return
    folder, names = json.loads(line)
    failed: dict[str, str] = {}
    with suppress(Exception):  # it is met again, and said, by who waits for the answer
        draw([read_folder(folder)], Path(folder, "figures"), select=names, failed=failed)
        sys.stdout.write(json.dumps(failed) + "\n")
        sys.stdout.flush()
