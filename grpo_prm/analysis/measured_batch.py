"""What one batch of a log adds to an analysis: all that needs its rows, so that the rest can be done elsewhere."""

from __future__ import annotations

from typing import Any, NamedTuple

import polars as pl

from ..logs.rollouts import Rollouts, group_opens
from .baseline_by import OUTSIDE, divided
from .cross_prompt import steps_apart
from .measure import TABLES, Measured, measure
from .options import Options
from .over_training import OverTraining, in_order
from .prompts import PromptLengths
from .running_sums import RunningSums
from .samples import Samples
from .texts import Texts


class MeasuredBatch(NamedTuple):
    """A batch without its rows.

    Attributes:
        sums: Its counts and notes.
        rejected: `rollouts.REJECTED`.
        measured: Its groups, slice by slice.
        in_order: Are the groups of each step neighbours (`over_training.in_order`)?
        training: Rows of the training table (`OverTraining.rows`); None where one has no step, or there is none.
        sampled: Rows of the groups that may travel with the analysis (`Samples`).
        texts: Rows of further ones (`Texts`).
        baseline: Pseudo-groups of the steps that have enough prompts (`cross_prompt.SCHEMA`).
        waiting: Columns `cross_prompt.NEEDED` of the steps that have not.
    """

    sums: RunningSums
    rejected: pl.DataFrame
    measured: list[Measured]
    in_order: bool
    training: pl.DataFrame | None
    sampled: pl.DataFrame
    texts: pl.DataFrame
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
    sums, samples, table = RunningSums(), Samples(options.seed), batch.table
    texts = Texts(options.seed, options.keep_text)
    sums.add(batch)
    ordered = in_order(table[group_opens(table), ["run", "step"]])
    measured = []
    for one in measure(table, options, prompts):
        measured.append(one)
        samples.add(table, one.groups)
        texts.add(table, one.groups)
    named = bool(measured) and not table["step"].null_count()
    training = _training(measured, options.seed, ordered) if named else None
    inside, outside = divided(table, options.baseline_by)
    sums.counts[OUTSIDE] += outside
    baseline, waiting = steps_apart(inside, options.seed)
    sampled, further = samples.rows(table), texts.rows(table)
    return MeasuredBatch(sums, batch.rejected, measured, ordered, training, sampled, further, baseline, waiting)


def _training(measured: list[Measured], seed: int, ordered: bool) -> pl.DataFrame:
    """The rows of the steps, as one analysis of the whole log makes them."""
    running, table = RunningSums(), OverTraining(seed, None)
    for one in measured:
        running.add_permuted(one.steps, one.permuted)
    table.add((one.groups for one in measured), running, in_order=ordered)
    table.close(running)
    return table.rows()


def numbered_from(batch: MeasuredBatch, first: int) -> MeasuredBatch:
    """The same with its groups numbered from `first` on."""
    if not first:
        return batch
    measured = []
    for one in batch.measured:
        tables: dict[str, Any] = {name: _later(getattr(one, name), first) for name in TABLES}
        if one.states:
            tables["states"] = one.states._replace(table=_later(one.states.table, first))
        measured.append(Measured(**(one._asdict() | tables)))
    sampled, texts, waiting = (_later(table, first) for table in (batch.sampled, batch.texts, batch.waiting))
    return batch._replace(measured=measured, sampled=sampled, texts=texts, waiting=waiting)


def _later(table: pl.DataFrame, first: int) -> pl.DataFrame:
    return table.with_columns(pl.col("group") + first) if "group" in table.columns else table
