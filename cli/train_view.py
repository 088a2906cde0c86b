"""What a run of `train` looks like while it goes on: a table with sparklines on a terminal, plain lines in a pipe."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from grpo_prm.analysis.statistics import STATISTICS
from grpo_prm.text.amounts import steady
from grpo_prm.text.printable import printable
from grpo_prm.train.events import Event

from .progress import WINDOW, Left
from .sparkline import duration, sparkline

LINE_EVERY = 10.0  # seconds between two lines in a pipe
# Metric of a step to its name: what the trainer measures, and the statistics that are shown over training.
SHOWN = {
    **{name: STATISTICS[name].title for name in ("reward", "accuracy")},
    "majority": "majority answer",
    "kl": "KL",
    "entropy": "entropy",
    **{name: one.title for name, one in STATISTICS.items() if one.over_training},
    "length": "length",
    "tokens_per_second": "tokens/s",
}
IN_LINES = tuple(name for name in SHOWN if name not in STATISTICS or STATISTICS[name].headline)
WARM = "warm start of the small model (once: it is kept in the cache)"
Tell = Callable[[Event], None]


@contextmanager
def watching() -> Generator[Tell]:
    """Give the function that a run tells its events; everything is shown on stderr."""
    console = Console(stderr=True, markup=False, highlight=False, emoji=False)
    # rewriting lines needs a terminal that can move its cursor
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines().tell
        return
    view = View(console)
    with Live(console=console, get_renderable=view.render, refresh_per_second=4) as live:

        def tell(event: Event) -> None:
            if event.kind == "note":
                live.console.print(Text(_note(event)))
            view.tell(event)

        yield tell


class Faults:
    """What went wrong so far: rewards that failed, and optimizer steps skipped since something was not finite."""

    def __init__(self) -> None:
        self._count = {"failed_rewards": 0, "skipped": 0}

    def add(self, metrics: Mapping[str, float | None]) -> None:
        """Count a step's."""
        for name in self._count:
            self._count[name] += int(metrics.get(name) or 0)

    def sentences(self) -> list[str]:
        """`3 rewards failed`, `1 optimizer step skipped (loss or gradient not finite)`; nothing where all is well."""
        failed, skipped = self._count.values()
        rewards = f"{failed:,} reward{'s' * (failed != 1)} failed"
        steps = f"{skipped:,} optimizer step{'s' * (skipped != 1)} skipped (loss or gradient not finite)"
        return [rewards] * (failed > 0) + [steps] * (skipped > 0)


class Lines:
    """Plain lines: the first step, then one every few seconds, the last, and every evaluation."""

    def __init__(self) -> None:
        self._written = -math.inf  # when the last line was
        self._warm: tuple[float, int] | None = None  # when the warm start was first heard of, and its step
        self._counts = Faults()
        self._began: tuple[float, int] | None = None  # when the first step of this process was done, and which

    def tell(self, event: Event) -> None:
        """Print what is due."""
        if event.kind == "warm":
            self._warming(event, time.monotonic())
        elif event.kind == "note":
            _write(_note(event))
        elif event.kind == "eval":
            _write(f"step {event.step}/{event.steps}: held-out accuracy {held_out(event.metrics)}")
        elif event.kind == "step":
            self._step(event, time.monotonic())

    def _warming(self, event: Event, now: float) -> None:
        if not self._warm:
            self._warm = now, event.step
            _write(WARM)
        elif now - self._written >= LINE_EVERY:
            _write(f"warm start {event.step}/{event.steps}{_left(now, *self._warm, event)}")
        else:
            return
        self._written = now

    def _step(self, event: Event, now: float) -> None:
        self._counts.add(event.metrics)
        # A resumed run starts late: time left is measured from its own first step.
        since, first = self._began = self._began or (now, event.step)
        if now - self._written < LINE_EVERY and event.step != event.steps:
            return
        self._written = now
        known = {name: event.metrics.get(name) for name in IN_LINES}
        shown = [f"{SHOWN[name]} {steady(value)}" for name, value in known.items() if value is not None]
        shown += self._counts.sentences()
        # by the steps of this process: those before a resume took another time
        _write(f"step {event.step}/{event.steps}: {', '.join(shown)}{_left(now, since, first, event)}")


class View:
    """The table of a terminal: each figure now, over the run as a sparkline, and its range there."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.fields[of]}"))
        self._bar = Progress(*columns, TimeElapsedColumn(), Left(), console=console, speed_estimate_period=WINDOW)
        self._task = self._bar.add_task("starting", total=None, of="")
        self._history: dict[str, list[float]] = {name: [] for name in SHOWN}
        self._held_out: list[str] = []
        self._counts = Faults()

    def tell(self, event: Event) -> None:
        """Take an event in."""
        if event.kind == "warm":
            self._bar.update(self._task, description="warm start", **_place(event))
        elif event.kind == "start":  # time left is that of the steps to come
            self._bar.reset(self._task, description="step", **_place(event))
        elif event.kind == "step":
            self._bar.update(self._task, description="step", **_place(event))
            self._counts.add(event.metrics)
            for name, values in self._history.items():
                if (value := event.metrics.get(name)) is not None and math.isfinite(value):
                    values.append(value)
        elif event.kind == "eval":
            self._held_out.append(f"{held_out(event.metrics)} after {event.step}")

    def render(self) -> Group:
        """The table, and the bar below it."""
        table = Table.grid(padding=(0, 2))
        for name, values in self._history.items():
            if values:
                bars = sparkline(values)
                spread = f"{steady(min(values))} to {steady(max(values))}"
                table.add_row(SHOWN[name], Text(steady(values[-1]), justify="right"), bars, Text(spread, style="dim"))
        lines: list[Table | Text | Progress] = [table]
        if self._held_out:
            first_and_last = [self._held_out[0], *self._held_out[1:][-1:]]
            lines.append(Text(f"held-out accuracy {', '.join(first_and_last)}"))
        if faults := self._counts.sentences():
            lines.append(Text(", ".join(faults)))
        return Group(*lines, self._bar)


def _place(event: Event) -> dict[str, Any]:
    """Where a run is, for its bar."""
    return {"completed": event.step, "total": event.steps, "of": f"{event.step} of {event.steps}"}


def _left(now: float, since: float, first: int, event: Event) -> str:
    """`, 0:12 left` by the steps since the first one; nothing at the first and at the last."""
    if not first < event.step < event.steps:
        return ""
    return f", {duration((now - since) / (event.step - first) * (event.steps - event.step))} left"


def held_out(metrics: Mapping[str, float | None]) -> str:
    """`0.953 [0.931, 0.968] (majority answer 0.102)`."""
    mean, low, high = (steady(metrics.get(name)) for name in ("accuracy", "low", "high"))
    majority = metrics.get("majority")
    return f"{mean} [{low}, {high}]" + ("" if majority is None else f" (majority answer {steady(majority)})")


def notes(event: Event) -> None:
    """Print notes alone."""
    if event.kind == "note":
        _write(_note(event))


def _note(event: Event) -> str:
    return "note: " + printable(event.text, "\n")


def _write(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
