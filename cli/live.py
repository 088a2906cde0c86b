"""`grpo-prm live`: a training that runs, watched from another terminal by the rollouts that it records."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console, Group

    from grpo_prm.analysis.course import Step

EXAMPLES = """
Examples:

    grpo-prm live lambda0.5-chain.run

    grpo-prm live output_dir     # of TRL or verl: the folder that holds rollouts/

    grpo-prm live output_dir --once     # what there is now, then stop

    grpo-prm live output_dir >> live.log &     # plain lines
"""
POLL_EVERY = 1.0  # seconds
DRAW_EVERY = 0.5  # seconds between two pictures on a terminal while it reads
LINE_EVERY = 10.0  # seconds between two lines of figures in a pipe


def live(
    run: Annotated[
        Path,
        typer.Argument(help="Run folder of `train`, TRL or verl, or its rollouts.", metavar="RUN", show_default=False),
    ],
    once: Annotated[bool, typer.Option("--once", help="Show what there is now, and stop.")] = False,
) -> None:
    """Watch a training: its numbers step by step, and the faults that its last 20 steps show.

    It reads each step once all of it is written, and waits where there is none yet. Ctrl-C ends it, and not the run.
    """
    from rich.console import Console

    from grpo_prm.errors import InputError, UsageError

    from .screen import trimmed

    if run.is_file():
        raise UsageError(f"{run}: is a file. Name the folder of a run.")
    console = Console(markup=False, highlight=False, emoji=False)
    watched = Watched(run)
    if once:
        if not list(watched.poll(ended=True)):
            raise InputError(f"{watched.nothing}. Leave out --once to wait for it.")
        with trimmed(console):
            console.print(watched.shown())
    elif console.is_terminal and not console.is_dumb_terminal:
        _on_terminal(watched, console)
    else:
        _in_lines(watched)


class Watched:
    """A run as far as it has come.

    Attributes:
        course: Its figures and findings.
        set_back: The last `poll` found that the run had taken steps back, so that all was read anew.
    """

    def __init__(self, run: Path) -> None:
        from grpo_prm.analysis.course import Course
        from grpo_prm.logs.following import Following, folder_of_parts

        self._run, self.course, self.set_back = run, Course(), False
        self._following = Following(folder_of_parts(run))

    def poll(self, *, ended: bool = False) -> Iterator[Step]:
        """The steps that have come since the last call, read as they are asked for."""
        from grpo_prm.analysis.course import Course
        from grpo_prm.logs.following import Following, folder_of_parts

        if self._following.last is None:  # until now nobody knew which folder it would be
            self._following = Following(folder_of_parts(self._run))
        fresh = self._following.poll(ended=ended)
        self.set_back = fresh.anew
        if fresh.anew:
            self.course = Course()
        return (step for batch in fresh.batches for step in self.course.add(batch))

    @property
    def nothing(self) -> str:
        """Why there is nothing to see yet."""
        from grpo_prm.analysis.running_sums import why_rejected

        folder = self._following.folder
        what = "no step whose rollouts are all there yet" if folder.is_dir() else "no such folder yet"
        if (last := self._following.last) is not None:
            why = " ".join(why_rejected(self.course.rejected))
            what = f"no group of two completions with rewards until step {last}. {why}".rstrip(". ")
        return f"{folder}: {what} (of a log that is complete: grpo-prm analyze {self._run})"

    def shown(self) -> Group:
        """Where the run is, each figure now and over the steps, and its findings; or that there is nothing yet."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        from grpo_prm.analysis.running_sums import why_rejected
        from grpo_prm.text.amounts import steady
        from grpo_prm.text.printable import printable

        from .sparkline import sparkline

        if not self.course.steps:
            return Group(Text(printable(f"Waiting. {self.nothing}.")))
        table = Table.grid(padding=(0, 2))
        for name, values in list(self.course.figures.items()):
            if values:
                spread = Text(f"{steady(min(values))} to {steady(max(values))}", style="dim")
                table.add_row(title(name), Text(steady(values[-1]), justify="right"), sparkline(values), spread)
        findings = [Text(f"{one.code}: {one.sentence}", style="bold") for one in self.course.alarms.now]
        sentences = (*why_rejected(self.course.rejected), *self._following.notes)
        notes = [Text(printable(note), style="dim") for note in sentences]
        return Group(Text(printable(self._state())), table, *(findings or [Text(self._no_finding())]), *notes)

    def _no_finding(self) -> str:
        from grpo_prm.analysis.alarms import LEAST

        early = self.course.groups < LEAST
        return f"nothing found yet: it takes {LEAST} groups to judge" if early else "nothing found"

    def _state(self) -> str:
        """`step 12: 96 groups in 12 steps, last part 0:07 ago (a.run/rollouts)`."""
        from grpo_prm.text.amounts import amount

        from .sparkline import duration

        last = "" if self.course.last is None else f"step {self.course.last:,}: "
        read = f"{amount(self.course.groups, 'group')} in {amount(self.course.steps, 'step')}"
        ago = duration(max(0.0, time.time() - (self._following.newest or 0.0)))
        return f"{last}{read}, last part {ago} ago ({self._following.folder})"


def _on_terminal(watched: Watched, console: Console) -> None:
    from rich.live import Live
    from rich.text import Text

    # Drawn by the thread that reads: another would meet figures and findings while they change.
    with Live(console=console, auto_refresh=False) as view:
        drawn = -math.inf
        while True:
            for step in watched.poll():
                for text in changes(step):
                    view.console.print(Text(text))
                if time.monotonic() - drawn >= DRAW_EVERY:
                    drawn = time.monotonic()
                    view.update(watched.shown(), refresh=True)
            view.update(watched.shown(), refresh=True)
            time.sleep(POLL_EVERY)


def _in_lines(watched: Watched) -> None:
    """Figures every few seconds at most, and every finding that begins or ends."""
    from grpo_prm.text.printable import printable

    written, waiting = -math.inf, False
    newest: Step | None = None  # whose figures are not written yet
    while True:
        steps = watched.poll()
        if watched.set_back:
            typer.echo("the run went back to an earlier step: it is read again from the start")
            newest = None
        for step in steps:
            for text in changes(step):
                typer.echo(text)
            newest, written = _figures(step, written)
        newest, written = _figures(newest, written)  # of a step that came too soon after another
        if not (watched.course.steps or waiting):
            waiting = True
            typer.echo(printable(f"waiting: {watched.nothing}"))
        time.sleep(POLL_EVERY)


def _figures(newest: Step | None, written: float) -> tuple[Step | None, float]:
    """Write the figures of a step if it is time; the step if it is not, and when the last were written."""
    if newest is None or time.monotonic() - written < LINE_EVERY:
        return newest, written
    typer.echo(line(newest))
    return None, time.monotonic()


def changes(step: Step) -> Iterator[str]:
    """A line for each finding that begins or ends with a step."""
    for one in step.alarms:
        yield one.line


def line(step: Step) -> str:
    """`step 12: reward 0.500, path depth 1.200, ...`."""
    return f"step {step.step}: {few(step)}" if step.step is not None else few(step)


def few(step: Step) -> str:
    """The figures of a step that have a place in a line: `reward 0.500, path depth 1.200, ...`."""
    from grpo_prm.analysis.statistics import STATISTICS
    from grpo_prm.text.amounts import steady

    named = [name for name in step.figures if name not in STATISTICS or STATISTICS[name].headline or name == "length"]
    figures = (f"{title(name)} {steady(step.figures[name])}" for name in named if step.figures[name] is not None)
    return ", ".join(figures)


def title(name: str) -> str:
    """What a figure is called."""
    from grpo_prm.analysis.statistics import STATISTICS

    return "length" if name == "length" else STATISTICS[name].title
