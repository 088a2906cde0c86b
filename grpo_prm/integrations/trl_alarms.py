"""Alarms in TRL: the main process judges rollouts of all, and tells all the result, so that they stop together."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import polars as pl
from accelerate.utils import broadcast_object_list, gather_object

from ..analysis.alarms import Alarm, Alarms
from .trl_rollouts import Pending

# Completions of a generation that are judged, of all processes. They cross the network, and every process waits for the
# judgement: 256 of 2,048 tokens are 4 MB and .05 s, and the 20 steps of a window are some hundred groups all the same.
ROWS = 256
_LOG = logging.getLogger("grpo_prm")
_Tables = list[tuple[int, int, pl.DataFrame]]  # step, number of the generation in it, rollouts


class AlarmJudge:
    """Tells once that a finding begins, and once that it is over.

    Args:
        alarms: Judges the steps; used on the main process alone.
        on_alarm: Called with each on every process; None: nobody is.
    """

    def __init__(self, alarms: Alarms, on_alarm: Callable[[Alarm], None] | None) -> None:
        self._alarms, self._on_alarm = alarms, on_alarm
        self._warned = False

    def judge(self, done: list[Pending], accelerator: Any) -> list[Alarm]:
        """Judge the first `ROWS` rows of some generations; a collective call, which all processes make with as many.

        Args:
            done: Generations with their log-probabilities, the rows of this process.
            accelerator: Of the trainer.

        Returns:
            What begins and what is over, the same on all processes.
        """
        if not done:
            return []
        # A fault on one process must not leave the others waiting, so nothing between the two collective calls raises.
        tables = gather_object(self._tried(_tables, done))
        changes: list[Any] = [self._tried(self._changes, tables) if accelerator.is_main_process else None]
        if accelerator.num_processes > 1:
            broadcast_object_list(changes)
        for alarm in changes[0]:
            if accelerator.is_main_process:
                _LOG.warning("grpo-prm, %s.%s", alarm.line, " Training stops (halt_on)." if alarm.halts else "")
            if self._on_alarm is not None:
                self._on_alarm(alarm)
        return changes[0]

    def _changes(self, tables: _Tables) -> list[Alarm]:
        of_generation: dict[tuple[int, int], list[pl.DataFrame]] = {}
        for step, number, table in tables:
            of_generation.setdefault((step, number), []).append(table)
        changes: list[Alarm] = []
        for (step, _), parts in of_generation.items():
            # a group may straddle processes; a step without any reward says nothing
            if len(table := pl.concat(parts).sort("group", maintain_order=True)):
                changes += self._alarms.add(step, table)
        return changes

    def _tried(self, make: Callable[[Any], list[Any]], of: Any) -> list[Any]:
        """What `make` gives, nothing where it fails: whatever a data set holds, the training must go on."""
        try:
            return make(of)
        except Exception as error:
            if not self._warned:  # once, not in every step
                _LOG.warning("Steps cannot be judged (%s), so there may be no alarms. Training goes on.", error)
            self._warned = True
            return []


def _tables(done: list[Pending]) -> _Tables:
    """The rows of this process that are judged."""
    tables = []
    for one in done:
        generation = one.generation
        most = max(ROWS // generation.k, 1) * generation.k  # whole groups
        rows = min(max(most - generation.first, 0), len(generation.ids))
        if rows:
            tables.append((one.step, one.number, one.without_texts(rows)))
    return tables
