"""What is said of logs that are still written: a line a step, and what is odd about them."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from grpo_prm.text.amounts import amount

from .live import changes, few

if TYPE_CHECKING:
    from grpo_prm.analysis.course import Course, Step
    from grpo_prm.logs import ReadOptions
    from grpo_prm.logs.growing import Look
    from grpo_prm.logs.growing_steps import GrowingSteps
    from grpo_prm.logs.sources import Source

COUNT_EVERY = 10.0  # seconds between two lines about rows that name no step


class FollowView:
    """Turns looks at growing logs into lines.

    Args:
        logs: As they were given.
        reading: How to read.
    """

    def __init__(self, logs: list[str], reading: ReadOptions) -> None:
        self._logs, self._name, self._reading = logs, ", ".join(logs), reading
        self._runs: dict[str, GrowingSteps] = {}  # of the files
        self._run_of: dict[Path, str] = {}
        self._courses: dict[str, Course] = {}  # of the rows
        self._told: set[str] = set()
        self._late: dict[tuple, int] = {}
        self._counted = -math.inf

    def lines(self, look: Look) -> Iterator[str]:
        """What there is to say, as it is read."""
        yield from look.said
        for run in {self._run_of[path] for path in look.again if path in self._run_of}:
            self._runs.pop(run, None)
            self._courses.clear()
        self._run_of |= {source.path: source.run for source in look.sources}
        for run, sources in groupby(look.sources, key=lambda source: source.run):
            yield from self._of_run(run, list(sources))
        if not (self._courses or any(steps.unnamed for steps in self._runs.values())):
            yield from self._once(f"{self._name}: {self._why_waiting(look)}")
        yield from self._count()

    def _of_run(self, run: str, sources: list[Source]) -> Iterator[str]:
        from grpo_prm.analysis.course import Course
        from grpo_prm.errors import InputError
        from grpo_prm.logs.growing_steps import GrowingSteps

        steps = self._runs.setdefault(run, GrowingSteps(self._reading))
        try:
            for batch in steps.add(sources):
                name = batch.table["run"][0] if len(batch.table) else run
                for step in self._courses.setdefault(name, Course()).add(batch):
                    yield self._of_step(name, step)
                    yield from changes(step)
        except InputError as error:  # of so few rows; what is said of all of them is said at the end
            yield from self._once(f"not yet: {error}")
        if steps.rejected:
            yield from self._once(f"{run}: some rows are rejected: the summary says why")
        for key, rows in steps.late.items():
            if rows != self._late.get(key):
                late = amount(rows, "completion")
                yield f"step {key[1]}: {late} came after its line, and will be in the summary"
        self._late |= steps.late

    def _why_waiting(self, look: Look) -> str:
        if look.sources:
            return "the first step is not over yet: a line comes when it is, the summary with Ctrl-C"
        there = any(os.path.lexists(log) for log in self._logs)
        return f"{'no whole row yet' if there else 'not there yet'}: waiting for it, Ctrl-C ends that"

    def _of_step(self, run: str, step: Step) -> str:
        of = f"{run}, " if len({*self._courses, *self._run_of.values()}) > 1 else ""
        size = f"{amount(step.groups, 'group')}, {amount(step.completions, 'completion')}"
        return f"{of}step {step.step}: {size}, {few(step)}"

    def _count(self) -> Iterator[str]:
        """Rows that name no step, now and then."""
        rows = sum(steps.unnamed for steps in self._runs.values())
        if rows and time.monotonic() - self._counted >= COUNT_EVERY:
            self._counted = time.monotonic()
            yield f"{self._name}: {amount(rows, 'row')} without a step: in the numbers that come at the end"

    def _once(self, text: str) -> Iterator[str]:
        if text not in self._told:
            self._told.add(text)
            yield text
