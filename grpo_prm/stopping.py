"""Signals that end a process in order: by an exception that every `finally` on the way sees."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

TWICE = 1.0  # seconds within which a second signal is the first one once more, from the shell and from the terminal
WAIT = 0.05  # seconds until a signal is tried again that came where an exception would be lost
OF_POLARS = f"{os.sep}polars{os.sep}io{os.sep}"
PATIENCE = 10.0  # seconds until it is raised all the same


def stop_in_order(names: tuple[str, ...], on_stop: Callable[[int], None]) -> None:
    """Make signals raise SystemExit with 128 and their number.

    One that comes while a module is imported, or in a finalizer, where an exception may be lost, waits for its end, and
    so does one that comes while a process is started, which would have half of what it needs, or while a folder takes
    the place of another (`files.atomic_folder`), which would leave the old one behind. One that is lost all the same,
    as in what is called when an object goes, comes again.

    Args:
        names: Such as SIGTERM; one that is ignored (`nohup`) stays so, but for SIGINT.
        on_stop: Is called with the number before it is raised.
    """
    last, came = -TWICE, 0.0
    raised: SystemExit | None = None
    report = sys.unraisablehook

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last, came, raised
        now = time.monotonic()
        if now - last <= TWICE:
            return
        came = came or now
        if _is_to_wait(frame) and now - came < PATIENCE:
            _again(number)
            return
        last, came = now, 0.0
        on_stop(number)
        raised = SystemExit(128 + number)
        raise raised

    def lost(found: Any) -> None:
        nonlocal last
        if raised is None or found.exc_value is not raised:
            report(found)
            return
        last = -TWICE
        _again(int(str(raised)) - 128)

    sys.unraisablehook = lost
    for name in names:
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number and (name == "SIGINT" or signal.getsignal(number) is not signal.SIG_IGN):
            signal.signal(number, stop)


def _again(number: int) -> None:
    """Send the signal once more, a moment later."""
    timer = threading.Timer(WAIT, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


def ignore_interrupts() -> None:
    """Ctrl-C is not for this process, and not for the threads and processes that it starts from now on.

    It is held back as well, since libraries, such as polars, listen to it themselves.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def deaf_to_interrupts() -> Generator[None]:
    """Processes that are started inside never get Ctrl-C, which the terminal sends to all: it is for this one.

    They inherit that SIGINT is held back, from their first instruction on. What comes here meanwhile is heard
    afterwards.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_to_wait(frame: FrameType | None) -> bool:
    """Is a module imported, an object taken away, a process started, a folder put in place, or polars called?"""
    # What opens files in polars asks Python for defaults from inside Rust, which panics where that raises.
    if frame is not None and OF_POLARS in frame.f_code.co_filename:
        return True
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name in ("__del__", "_launch", "_swap"):
            return True
        frame = frame.f_back
    return False
