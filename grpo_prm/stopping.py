"""Signals that end a process in order: by an exception that every `finally` on the way sees."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

TWICE = 1.0  # seconds within which a second signal is the first one once more, from the shell and from the terminal
WAIT = 0.05  # seconds until a signal is tried again that came where an exception would be lost
PATIENCE = 10.0  # seconds until it is raised all the same


def stop_in_order(names: tuple[str, ...], on_stop: Callable[[int], None]) -> None:
    """Make signals raise SystemExit with 128 and their number.

    One that comes while a module is imported, or in a finalizer, where an exception may be lost, waits for its end.

    Args:
        names: Such as SIGTERM; one that is ignored (`nohup`) stays so, but for SIGINT.
        on_stop: Is called with the number before it is raised.
    """
    last, came = -TWICE, 0.0

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal last, came
        now = time.monotonic()
        if now - last <= TWICE:
            return
        came = came or now
        if _would_be_lost(frame) and now - came < PATIENCE:
            again = threading.Timer(WAIT, os.kill, (os.getpid(), number))
            again.daemon = True
            again.start()
            return
        last, came = now, 0.0
        on_stop(number)
        raise SystemExit(128 + number)

    for name in names:
        number = getattr(signal, name, None)  # there is no SIGHUP on Windows
        if number and (name == "SIGINT" or signal.getsignal(number) is not signal.SIG_IGN):
            signal.signal(number, stop)


def _would_be_lost(frame: FrameType | None) -> bool:
    """Is a module being imported, or an object taken away?"""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith("<frozen importlib") or code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False
