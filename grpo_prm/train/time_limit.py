"""A call that must come back in time, as a reward function of the user's may hang."""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

AGAIN = 1.0  # seconds until the alarm rings once more, for code that swallowed it

T = TypeVar("T")


class TimeUp(BaseException):
    """The call took too long. No `Exception`, so that the call does not take it for an error of its own."""


def within(seconds: float | None, call: Callable[[], T]) -> T:
    """What the call gives, if it comes back in time.

    In the main thread an alarm signal interrupts it, anything that runs Python or sleeps. Elsewhere, and on Windows,
    it runs in a thread of its own, which gets the exception at its next Python instruction: a thread that sleeps is
    left behind until it wakes. Neither ends native code that never looks up, and a call that sets SIGALRM itself (as
    math-verify does by default) takes the alarm away from us.

    Args:
        seconds: The limit; None or 0 is none.
        call: Takes nothing.

    Raises:
        TimeUp: It did not. Whatever the call raises comes through.
    """
    if not seconds:
        return call()
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        return _with_alarm(seconds, call)
    return _in_thread(seconds, call)


def _with_alarm(seconds: float, call: Callable[[], T]) -> T:
    armed, began = True, time.monotonic()

    def ring(*_: Any) -> None:
        if armed:
            raise TimeUp

    handler = signal.signal(signal.SIGALRM, ring)
    left, every = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)
    try:
        try:
            return call()
        finally:
            armed = False  # from here on nothing rings any more
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if handler is None else handler)
        if left:  # somebody else's alarm, which goes on
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 1e-3), every)


def _in_thread(seconds: float, call: Callable[[], T]) -> T:
    given: list[T] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            given.append(call())
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(TimeUp))
        raise TimeUp
    if raised:
        raise raised[0]
    return given[0]
