"""Alarms of a running training: the report card's findings over its most recent steps (definitions: Alarms)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from ..core.interval import FEW_CLUSTERS
from ..errors import UsageError
from .findings import CODES, EXAMPLES, Judgement, checked, concerned_by, judge, sentence
from .window import Window

WINDOW = 20  # steps
LEAST = FEW_CLUSTERS  # groups in the window before anything is judged


class Alarm(NamedTuple):
    """A finding that begins, goes on or ends.

    Attributes:
        code: Of `findings.CODES`.
        value: What was measured over the window: a share, a ratio, or nats for a spread; at the end where it is known
            no more the last that was.
        began: True where it begins (or goes on), False where it ends.
        halts: Whether training shall stop: it begins and its code is among those named.
        sentence: What it says, the steps of the window included.
        step: The step after which it began, or ended.
    """

    code: str
    value: float
    began: bool
    halts: bool
    sentence: str
    step: int

    @property
    def line(self) -> str:
        """One line of a log: `step 20: copies begins: 18 % of completions are copies in their group (...)`."""
        begins = f"{self.code} begins: " if self.began else ""
        return f"step {self.step}: {begins}{self.sentence}"


class Alarms:
    """Watches the steps of a training as they come.

    A finding begins with the first step after which it holds over the window, once the window holds `LEAST` groups. It
    ends when it has not held after as many steps in a row as the window has: each code begins once in so many steps at
    most. Findings for which a step lacks something are not judged. Nothing is random: equal steps give equal alarms.

    Args:
        halt_on: Codes that shall stop the training.
        window: Steps over which findings are judged.
        outcome: Part of the reward that says whether a completion is right, for `phantom_advantage`.
        seed: Of the resamples and pseudo-groups.

    Raises:
        UsageError: A code that there is not, or a window without a step.
    """

    def __init__(
        self, halt_on: Iterable[str] = (), window: int = WINDOW, *, outcome: str | None = None, seed: int = 0
    ) -> None:
        self._halt_on = checked(halt_on, "halt_on")
        if window < 1:
            raise UsageError(f"window is {window}: findings are judged over steps. Give 1 or more.")
        self._room, self._window = window, Window(window, outcome, seed)
        self._on: dict[str, Alarm] = {}
        self._without: dict[str, int] = {}  # steps since it last held, of those that began
        self._last: int | None = None

    @property
    def now(self) -> list[Alarm]:
        """The findings that have begun and not ended, with their last number, in the order of the codes."""
        return [self._on[code] for code in CODES if code in self._on]

    def add(self, step: int, table: pl.DataFrame) -> list[Alarm]:
        """Add rollouts of a step.

        Args:
            step: The optimizer step that they are for. A step may come in several tables, one after the
                other; one that comes again after others replaces what it was.
            table: Canonical rollouts (docs/logs.md) of whole groups, rows of a group next to each other.

        Returns:
            What begins and what ends, in the order of the codes; mostly nothing.
        """
        self._window.add(step, table)
        fresh, self._last = step != self._last, step
        if len(self._window.groups) < LEAST:  # a share of a few groups would begin and end by chance
            return []
        judged = {one.code: one for one in judge(self._window.figures())}
        changes = (self._change(step, code, judged.get(code), fresh=fresh) for code in CODES)
        return [change for change in changes if change]

    def _change(self, step: int, code: str, one: Judgement | None, *, fresh: bool) -> Alarm | None:
        before = self._on.get(code)
        if one is not None and one.found:
            self._without[code] = 0
            words = f"{sentence(self._described(one))} ({self._over})"
            since = before.step if before else step  # one that goes on keeps the step at which it began
            self._on[code] = Alarm(code, one.value, True, code in self._halt_on, words, since)
            return None if before else self._on[code]
        if before is None:
            return None
        self._without[code] += fresh  # further groups of one step are no further step
        if self._without[code] < self._room:
            return None
        del self._on[code], self._without[code]
        value = before.value if one is None else one.value
        now = "not known" if one is None else f"{value:.3g}"
        words = f"{code} is over: {now} ({self._over}); it began at step {before.step}"
        return Alarm(code, value, False, False, words, step)

    @property
    def _over(self) -> str:
        first, last = self._window.span
        return f"steps {first} to {last}" if first != last else f"step {last}"

    def _described(self, one: Judgement) -> dict[str, object]:
        groups = self._window.groups
        concerned = concerned_by(one.code, groups) if one.code in EXAMPLES else groups
        return {"code": one.code, "value": one.value, "groups": len(concerned), **one.more}
