"""What a run tells of itself while it goes on: to its folder, to a tracker and to whoever watches."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..core.interval import Interval
from . import ranks
from .checkpoint import keep_best
from .config import TrainConfig
from .events import Event, Watch
from .record import HELD_OUT, append_metrics
from .tracker import Tracker


class Telling(NamedTuple):
    """Where a run tells of itself; only the process that leads writes."""

    config: TrainConfig
    watch: Watch
    folder: Path
    tracker: Tracker

    def step(self, step: int, metrics: Mapping[str, Any], clock: Mapping[str, float], **more: Any) -> None:
        """Tell of a training step.

        Args:
            step: Counted from 0.
            metrics: Numbers by name; None where there is none.
            clock: Those that depend on the clock.
            more: What stands in the file alone.
        """
        self._append({"step": step, **metrics, **more, "time": clock})
        self.tracker.log(step, metrics)
        self.watch(Event("step", step + 1, self.config.steps, {**metrics, **clock}))

    def evaluates(self, done: int) -> bool:
        """Is there an evaluation after so many steps?"""
        every = self.config.eval_every
        return done == self.config.steps or bool(every and done % every == 0)

    def accuracy(
        self,
        done: int,
        accuracy: Interval,
        majority: float | None,
        state: dict[str, Any],
        model: Any,
        tokenizer: Any,
    ) -> None:
        """Tell the held-out accuracy after so many steps, and keep the model if it is the best so far.

        Args:
            done: Steps done.
            accuracy: Without a mean there was nothing to judge, and nothing is told.
            majority: Share of the prompts that the majority answer gets right; None where none is known.
            state: `best`, the highest accuracy so far, is brought up to date.
            model: The model that has it.
            tokenizer: Its tokenizer.
        """
        if accuracy.mean is None:
            return
        known = {"accuracy": accuracy.mean, "low": accuracy.low, "high": accuracy.high, "majority": majority}
        metrics: Mapping[str, float | None] = {name: value for name, value in known.items() if value is not None}
        self._append({"step": done - 1, HELD_OUT: {**accuracy._asdict(), "majority": majority}})
        self.tracker.log(max(done - 1, 0), {f"{HELD_OUT}/{name}": value for name, value in metrics.items()})
        self.watch(Event("eval", done, self.config.steps, metrics))
        if done and (state["best"] is None or accuracy.mean > state["best"]):
            state["best"] = accuracy.mean
            if ranks.leads():
                keep_best(self.folder, model, tokenizer)

    def _append(self, line: Mapping[str, Any]) -> None:
        if ranks.leads():
            append_metrics(self.folder, line)


def finite(value: float) -> float | None:
    """A number that JSON can hold; None for NaN and infinities."""
    return value if math.isfinite(value) else None
