"""What one batch of a log adds to an analysis: all that needs its rows, so that the rest can be done elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import polars as pl

from ..logs.rollouts import Rollouts
from .cross_prompt import steps_apart
from .measure import TABLES, Measured, measure
from .options import Options
from .prompts import PromptLengths
from .running_sums import RunningSums
from .samples import Samples
from .table_groups import steps_together


class MeasuredBatch(NamedTuple):
    """A batch without its rows.

    Attributes:
        sums: Its counts and notes.
        rejected: `rollouts.REJECTED`.
        measured: Its groups, slice by slice.
        sampled: Rows of the groups that may travel with the analysis (`Samples`).
        baseline: Pseudo-groups of the steps that have enough prompts (`cross_prompt.SCHEMA`).
        waiting: Columns `cross_prompt.NEEDED` of the steps that have not.
    """

    sums: RunningSums
    rejected: pl.DataFrame
    measured: Iterable[Measured]
    sampled: pl.DataFrame
    baseline: pl.DataFrame
    waiting: pl.DataFrame


def measured_batch(batch: Rollouts, options: Options, prompts: PromptLengths) -> MeasuredBatch:
    """Measure a batch of whole groups and steps.

    Args:
        batch: Canonical rollouts.
        options: What to compute; the divisor is known.
        prompts: Counts the tokens of prompts.

    Raises:
        UsageError: Logged advantages are asked for, or needed, but some are not there.
    """
    sums, samples, table = RunningSums(), Samples(options.seed), steps_together(batch.table)
    sums.add(batch)
    measured = []
    for one in measure(table, options, prompts):
        measured.append(one)
        samples.add(table, one.groups)
    baseline, waiting = steps_apart(table, options.seed)
    return MeasuredBatch(sums, batch.rejected, measured, samples.rows(table), baseline, waiting)


def numbered_from(batch: MeasuredBatch, first: int) -> MeasuredBatch:
    """The same with its groups numbered from `first` on."""
    if not first:
        return batch
    measured = [one._replace(**{name: _later(getattr(one, name), first) for name in TABLES}) for one in batch.measured]
    sampled, waiting = _later(batch.sampled, first), _later(batch.waiting, first)
    return batch._replace(measured=measured, sampled=sampled, waiting=waiting)


def _later(table: pl.DataFrame, first: int) -> pl.DataFrame:
    return table.with_columns(pl.col("group") + first) if "group" in table.columns else table
