"""A command as it is typed, but in this process: a new Python takes a second of a core until it can begin.

What only a process has (signals, pipes, a terminal, what is imported) is tested on processes.
"""

import gc
import io
import math
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from typing import NamedTuple
from unittest.mock import patch

from grpo_prm_cli.main import STOPS, main

# What Python itself does not show of a program.
UNSEEN = (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning)


class Done(NamedTuple):
    """What a process would leave, by the names of `subprocess.CompletedProcess`."""

    returncode: int
    stdout: str
    stderr: str


def run(*arguments: object, cwd: object = ".", **environment: str) -> Done:
    """Run `grpo-prm` with these arguments, in a folder and an environment."""
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with _as_it_was(), chdir(cwd), redirect_stdout(out), redirect_stderr(err):
        os.environ.clear()
        os.environ.update({"PATH": "", "COLUMNS": "80", **environment})
        sys.argv = ["grpo-prm", *map(str, arguments)]
        code = _exit_code()
    return Done(code, *(stream.buffer.getvalue().decode() for stream in (out, err)))


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except BaseException:  # what only a traceback helps with
        traceback.print_exc()
        return 1
    return 0


@contextmanager
def _as_it_was() -> Iterator[None]:
    """What a command sets for its process is put back."""
    handlers = {number: signal.getsignal(number) for number in (getattr(signal, name) for name in STOPS)}
    threshold, hook, written = gc.get_threshold(), sys.unraisablehook, warnings.formatwarning
    try:
        with (
            patch.dict(os.environ),
            patch.object(sys, "argv", []),
            patch("grpo_prm_cli.progress.AFTER", math.inf),  # no line that depends on the machine
            warnings.catch_warnings(),
            patch.dict(warnings.onceregistry, clear=True),
        ):
            warnings.resetwarnings()
            for category in UNSEEN:
                warnings.simplefilter("ignore", category)
            yield
    finally:
        gc.set_threshold(*threshold)
        sys.unraisablehook, warnings.formatwarning = hook, written
        for number, handler in handlers.items():
            signal.signal(number, handler)
