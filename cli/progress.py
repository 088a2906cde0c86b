"""What is going on, on stderr: a line that moves on a terminal; in a pipe a plain line after what took its time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from grpo_prm.text.amounts import amount

from .sparkline import duration

AFTER = 5.0  # seconds from which on a pipe is told
WINDOW = 3600.0  # seconds whose speed tells the time left: few and long pieces of work have no other
Move = Callable[[int, int], None]


class Left(ProgressColumn):
    """Time left as `0:12 left`; nothing while it is not known."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """The words for a task."""
        seconds = task.time_remaining if task.total else None
        return Text("" if seconds is None else f"{duration(seconds)} left")


@contextmanager
def progress_bar(what: str) -> Generator[Callable[[int, int, int], None]]:
    """Give a function of bytes done, bytes in all and rows that moves a bar with rows/s and time left."""
    columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
    with _moving(what, *columns) as bar:
        task = bar.add_task(what, total=None, rate="")

        def move(done: int, total: int, rows: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{amount(rows, 'row')}, {rows / elapsed:,.0f} rows/s" if elapsed > 0 else ""
            rate = rate if rows else "steps out of order: first of two passes"
            ended = "summing up" if total and done >= total else what
            bar.update(task, description=ended, completed=done, total=total or None, rate=rate)

        yield move


@contextmanager
def working(what: str, *, told: bool = True) -> Generator[Move]:
    """Show that work goes on and for how long.

    Args:
        what: The work.
        told: Whether a pipe gets its line; not of what is done again and again.

    Yields:
        A function to tell how much is done of how much, where that is known.
    """
    with _moving(what if told else "", SpinnerColumn(), TextColumn(what), TextColumn("{task.fields[of]}")) as bar:
        task = bar.add_task(what, total=None, of="")

        def move(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, of=f"{done} of {total}")

        yield move


@contextmanager
def cost_bar() -> Generator[Callable[[str, float, float], None]]:
    """Give a function of what was done last, cost done and cost in all that moves a bar with time left."""
    description = TextColumn("{task.description}", markup=False)
    with _moving("", BarColumn(), TaskProgressColumn(), last=description) as bar:
        task = bar.add_task("", total=None)

        def move(what: str, done: float, total: float) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield move


@contextmanager
def _moving(what: str, *columns: ProgressColumn, last: ProgressColumn | None = None) -> Generator[Progress]:
    """Columns, time so far and time left where it is known; in a pipe a line at the end, if `what` took its time."""
    console = Console(stderr=True)
    # Rewriting a line needs a terminal that can move its cursor.
    moves = console.is_terminal and not console.is_dumb_terminal
    every = (*columns, TimeElapsedColumn(), Left(), *((last,) if last else ()))
    began = time.monotonic()
    with Progress(*every, console=console, transient=True, disable=not moves, speed_estimate_period=WINDOW) as bar:
        yield bar
    took = time.monotonic() - began
    if what and not moves and took >= AFTER:
        sys.stderr.write(f"{what}: took {duration(took)}\n")
