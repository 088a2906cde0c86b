"""What a run looks like while it goes on: a table with sparklines on a terminal, plain lines in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from grpo_prm.printable import printable
from grpo_prm.train.events import Event

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 32  # steps of a sparkline
LINE_EVERY = 10.0  # seconds between two lines in a pipe
SHOWN = {
    "reward": "reward",
    "accuracy": "accuracy",
    "kl": "KL to the reference",
    "entropy": "entropy, nats",
    "intermediate_proportion": "intermediate proportion",
    "path_depth": "path depth",
    "amplification": "amplification",
    "suppressed_good": "suppressed good",
    "tokens_per_second": "tokens/s",
}
IN_LINES = ("reward", "accuracy", "kl", "entropy", "intermediate_proportion", "amplification")


@contextmanager
def watching() -> Generator[Callable[[Event], None]]:
    """Give the function that a run tells its events; everything is shown on stderr."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        yield _Lines().tell
        return
    view = _View()
    with Live(console=console, get_renderable=view.render, refresh_per_second=4) as live:

        def tell(event: Event) -> None:
            if event.kind == "note":
                live.console.print(Text(f"note: {printable(event.text)}"))
            view.tell(event)

        yield tell


def quiet_libraries() -> None:
    """No progress bars of others between ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


class _Lines:
    """Plain lines: the first step, then one every few seconds, and every evaluation."""

    def __init__(self) -> None:
        self._said, self._warm = -LINE_EVERY, False

    def tell(self, event: Event) -> None:
        """Print what is due."""
        if event.kind == "warm" and not self._warm:
            self._warm = True
            _write("warm start of the small model (once; it is kept in the cache)")
        elif event.kind == "note":
            _write(f"note: {printable(event.text)}")
        elif event.kind == "eval":
            numbers = event.metrics
            _write(f"step {event.step}: held-out accuracy {_number(numbers['accuracy'])}"
                   f" [{_number(numbers['low'])}, {_number(numbers['high'])}]")  # fmt: skip
        elif event.kind == "step" and (time.monotonic() - self._said >= LINE_EVERY or event.step == event.steps):
            self._said = time.monotonic()
            known = [f"{SHOWN[name]} {_number(event.metrics.get(name))}" for name in IN_LINES
                     if event.metrics.get(name) is not None]  # fmt: skip
            _write(f"step {event.step}/{event.steps}: {', '.join(known)}")


class _View:
    """The state of the table."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        self._bar = Progress(*columns, TimeRemainingColumn())
        self._task = self._bar.add_task("starting", total=None)
        self._history: dict[str, list[float]] = {name: [] for name in SHOWN}
        self._held_out: list[str] = []
        self._skipped = 0.0

    def tell(self, event: Event) -> None:
        """Take an event in."""
        if event.kind in ("warm", "start", "step", "end"):
            what = "warm start" if event.kind == "warm" else "training"
            if event.kind == "start":
                self._bar.reset(self._task, completed=event.step)
            self._bar.update(self._task, description=what, completed=event.step, total=event.steps)
        if event.kind == "step":
            self._skipped += event.metrics.get("skipped") or 0
            for name, values in self._history.items():
                if (value := event.metrics.get(name)) is not None:
                    values.append(value)
        if event.kind == "eval":
            self._held_out.append(f"{_number(event.metrics['accuracy'])} after {event.step}")

    def render(self) -> Group:
        """The table and the bar."""
        table = Table.grid(padding=(0, 2))
        for name, values in self._history.items():
            if values:
                table.add_row(SHOWN[name], _number(values[-1]), sparkline(values))
        if self._held_out:
            table.add_row("held-out accuracy", ", ".join(self._held_out[-3:]), "")
        if self._skipped:
            table.add_row("skipped steps", f"{self._skipped:.0f}", "")
        return Group(table, self._bar)


def sparkline(values: list[float]) -> str:
    """The last values as bars from their lowest to their highest."""
    last = values[-WIDTH:]
    low, high = min(last), max(last)
    span = high - low or 1.0
    return "".join(BARS[int((value - low) / span * (len(BARS) - 1))] for value in last)


def _number(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3f}"


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
