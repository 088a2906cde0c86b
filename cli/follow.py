"""`grpo-prm analyze --follow`: logs that are still written, a line a step, until somebody stops it."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Any

import typer

from .follow_view import FollowView

if TYPE_CHECKING:
    from grpo_prm.logs import ReadOptions
    from grpo_prm.logs.sources import Source

POLL_EVERY = 1.0  # seconds
TWICE = 1.0  # seconds within which a second signal is the first one once more, from the shell and from the terminal


class Stop(Event):
    """Set by a signal.

    Attributes:
        number: Of the signal.
    """

    number = signal.SIGINT


def followed(logs: list[str], reading: ReadOptions) -> list[Source]:
    """Say on stderr what comes, until Ctrl-C or SIGTERM.

    Returns:
        The files with what was read of each, to be analysed as logs that are complete.

    Raises:
        Exit: Nothing had come; with 128 and the number of the signal.
        UsageError, InputError: As `GrowingFiles` and `GrowingSteps`.
    """
    with until_stopped() as stop:
        sources = follow(logs, reading, stop)
    if not sources:
        typer.echo("stopped before a row had come: nothing is written", err=True)
        raise typer.Exit(128 + stop.number)
    typer.echo("stopped: what came is summed up", err=True)
    return sources


def follow(logs: list[str], reading: ReadOptions, stop: Event) -> list[Source]:
    """Look at the files again and again, and say what has come."""
    from grpo_prm.logs.growing import GrowingFiles
    from grpo_prm.text.printable import printable

    files, view = GrowingFiles(logs, reading.run), FollowView(logs, reading)
    while not stop.is_set():
        began = time.monotonic()
        for text in view.lines(files.look()):
            typer.echo(printable(text), err=True)
            if stop.is_set():
                break
        # What takes long is done less often: no more than half of the time goes into it.
        stop.wait(max(POLL_EVERY, time.monotonic() - began))
    for text in files.look().said:  # what came until it was stopped counts
        typer.echo(printable(text), err=True)
    return files.read()


@contextmanager
def until_stopped() -> Generator[Stop]:
    """Give an event that Ctrl-C and SIGTERM set. Afterwards they end the process as they did before."""
    stop, at = Stop(), [0.0]
    found: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in found.items() if handler is not signal.SIG_IGN}

    def first(number: int, _frame: FrameType | None) -> None:
        stop.number, at[0] = signal.Signals(number), at[0] if stop.is_set() else time.monotonic()
        stop.set()

    def later(number: int, frame: FrameType | None) -> None:
        if time.monotonic() - at[0] > TWICE:
            signal.signal(number, before[number])
            before[number](number, frame)

    for number in before:
        signal.signal(number, first)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, later if stop.is_set() and callable(handler) else handler)
