"""The course of a running training: its figures step by step, and its findings of now."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.prm import Std
from ..logs.rollouts import Rollouts, group_opens
from .alarms import Alarm, Alarms
from .divisor import fitting
from .group_sums import NAMES, group_sums, no_sums, statistics_of
from .options import Options
from .running_sums import reasons_of
from .statistics import STATISTICS
from .table_groups import SLICE, advantages_of, slices, table_groups, without_groups_of_one
from .window import with_values

# What is shown over the steps, in this order.
FIGURES = ("reward", *(name for name in NAMES if STATISTICS[name].over_training), "length")


class Step(NamedTuple):
    """What a step says.

    Attributes:
        step: The training step; None where none is logged.
        figures: Of `FIGURES`; None for 0/0.
        alarms: Findings that begin or end with it.
        groups, completions: How many it has, groups of one left out.
    """

    step: int | None
    figures: dict[str, float | None]
    alarms: list[Alarm]
    groups: int
    completions: int


class Course:
    """Takes the steps of a training as they come.

    Attributes:
        figures: Each of `FIGURES` over the steps that have it.
        steps, groups, completions: How many there were, groups of one left out.
        rejected: Why rows were rejected, with the number of rows.
        last: The last step that was added.
        alarms: What judges the findings; `alarms.now` are those of now.
    """

    def __init__(self) -> None:
        self.figures: dict[str, list[float]] = {name: [] for name in FIGURES}
        self.steps = self.groups = self.completions = 0
        self.rejected: Counter[str] = Counter()
        self.last: int | None = None
        self.alarms = Alarms()
        self._std: Std | None = None  # found in the first step that tells

    def add(self, batch: Rollouts) -> list[Step]:
        """Add whole steps, in order; those without a group of two are passed over."""
        self.rejected.update(reasons_of(batch.rejected))
        table = with_values(without_groups_of_one(batch.table))
        parts = table.partition_by("run", "step", maintain_order=True) if len(table) else []
        return [self._add(part["step"][0], part) for part in parts]

    def _add(self, step: int | None, table: pl.DataFrame) -> Step:
        self._std = self._std or fitting(table)
        figures = _figures(table, Options(self._std or "sample", "computed"))
        for name, value in figures.items():
            if value is not None:
                self.figures[name].append(value)
        self.steps, self.last = self.steps + 1, step
        groups = len(group_opens(table))
        self.groups += groups
        self.completions += len(table)
        return Step(step, figures, self.alarms.add(self.steps if step is None else step, table), groups, len(table))


def _figures(table: pl.DataFrame, options: Options) -> dict[str, float | None]:
    """Figures of a step as `analyze` defines them, without intervals; the length is a mean over completions."""
    advantages, sums, lengths = advantages_of(table, options), no_sums(), []
    for begin, end in slices(table, SLICE):
        groups = table_groups(table[begin:end], advantages.at(slice(begin, end)))
        sums = sums + group_sums(groups)
        lengths.append(groups.seen.completion)
    known = statistics_of(sums)
    rewards = table.group_by("group", maintain_order=True).agg(pl.col("reward").mean())["reward"].drop_nulls()
    known["reward"] = float(rewards.to_numpy().mean()) if len(rewards) else None
    known["length"] = float(np.concatenate(lengths).mean())
    return {name: known[name] for name in FIGURES}
