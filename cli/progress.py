"""What is going on, on stderr and on a terminal only: stdout is for data."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager


@contextmanager
def progress_bar(what: str) -> Generator[Callable[[int, int, int], None]]:
    """Give a function of bytes done, bytes in all and rows that moves a bar with rows/s and time left."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn(what), BarColumn(), TaskProgressColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None, rate="")

        def move(done: int, total: int, rows: int) -> None:
            elapsed = bar.tasks[0].elapsed or 0.0
            rate = f"{rows:,} rows, {rows / elapsed:,.0f} rows/s" if elapsed > 0 else ""
            rate = rate if rows else "steps out of order: first of two passes"
            bar.update(task, completed=done, total=total or None, rate=rate)

        yield move


@contextmanager
def working(what: str) -> Generator[None]:
    """Show that work without a known end goes on."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status(what):
        yield


@contextmanager
def cost_bar() -> Generator[Callable[[str, float, float], None]]:
    """Give a function of what was done last, cost done and cost in all that moves a bar with time left."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn())
    description = TextColumn("{task.description}", markup=False)
    with Progress(*columns, description, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=None)

        def move(what: str, done: float, total: float) -> None:
            bar.update(task, description=what, completed=done, total=total)

        yield move
