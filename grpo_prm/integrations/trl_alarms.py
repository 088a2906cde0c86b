"""Alarms in TRL: the main process judges the rollouts of all, and all hear the same, so that they stop together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import polars as pl
from accelerate.utils import broadcast_object_list, gather_object

from ..analysis.alarms import Alarm, Alarms
from .trl_rollouts import Held

_LOG = logging.getLogger("grpo_prm")


class Watchman:
    """Says once that a finding begins, and once that it is over.

    Args:
        alarms: Judges the steps; used on the main process alone.
        on_alarm: Called with each on every process; None: nobody is.
    """

    def __init__(self, alarms: Alarms, on_alarm: Callable[[Alarm], None] | None) -> None:
        self._alarms, self._on_alarm = alarms, on_alarm

    def look(self, done: list[Held], accelerator: Any) -> list[Alarm]:
        """Judge some generations; a collective call, which all processes make with as many.

        Args:
            done: Generations with their log-probabilities, the rows of this process.
            accelerator: Of the trainer.

        Returns:
            What begins and what is over, the same on all processes.
        """
        if not done:
            return []
        everyone = gather_object(_tables(done))
        heard: list[Any] = [self._judge(everyone) if accelerator.is_main_process else None]
        if accelerator.num_processes > 1:
            broadcast_object_list(heard)
        for alarm in heard[0]:
            if accelerator.is_main_process:
                _LOG.warning("%s", alarm.sentence)
            if self._on_alarm is not None:
                self._on_alarm(alarm)
        return heard[0]

    def _judge(self, everyone: list[tuple[int, int, pl.DataFrame]]) -> list[Alarm]:
        of_generation: dict[tuple[int, int], list[pl.DataFrame]] = {}
        for step, number, table in everyone:
            of_generation.setdefault((step, number), []).append(table)
        changes: list[Alarm] = []
        for (step, _), tables in of_generation.items():
            # a group may straddle processes; a step without any reward says nothing
            if len(table := pl.concat(tables).sort("group", maintain_order=True)):
                changes += self._alarms.add(step, table)
        return changes


def _tables(done: list[Held]) -> list[tuple[int, int, pl.DataFrame]]:
    """The rows of this process; none where they cannot be put into a table."""
    try:
        return [(held.step, held.number, held.table) for held in done]
    except Exception as error:  # whatever a data set holds, the training must go on
        _LOG.warning("Step %d is not judged (%s). Training goes on.", done[-1].step, error)
        return []
