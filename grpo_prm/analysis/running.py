"""An analysis that grows: batches are measured one by one and added up, and summed up whenever it is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import polars as pl

from ..core.interval import wilson
from ..errors import InputError
from ..logs.options import ReadOptions
from ..logs.rollouts import REJECTED, Rollouts, group_opens
from .baseline_by import OUTSIDE, VALUE
from .chunks import Parts, largest
from .clusters import ID
from .content import CONTENT
from .cross_prompt import SCHEMA as BASELINE
from .cross_prompt import PseudoGroups
from .decided_table import SCHEMA as DECIDED
from .divisor import FirstGroups
from .heap import OFTEN, hand_back
from .measure import TABLES as MEASURED
from .measure import Measured
from .measured_batch import MeasuredBatch
from .null import null_of_log
from .options import Options
from .over_training import OverTraining, in_order
from .prompts import PromptLengths
from .running_sums import RunningSums
from .samples import Samples
from .side_by_side import Apart, side_by_side
from .spill import Spill
from .states_table import SCHEMA as STATES
from .statistics import OVERLAP
from .summary import summarize
from .tables import Tables
from .teaching import check_outcome
from .texts import Texts

NEVER_CERTAIN = 5  # completions of a group up to which no interval of two rewards is narrow enough
# What of the reading changes numbers, for summary.json.
READING = ("format", "columns", "reward", "tokenizer", "group_size", "drop_uneven")


class RunningAnalysis:
    """Takes batches of a log, and gives its tables as often as they are wanted.

    Whatever the batches are, and however often the tables were asked for, they are those of one analysis of all of it.

    Args:
        options: What changes the numbers; `advantage` is given. `std` None: the first groups decide.
        reading: How the log is read; None: it was canonical.
        spill: Folder for the large tables of a long log, piece by piece; must outlive the analysis. None: memory.
        first: The first groups, where the divisor is decided by them already.
    """

    def __init__(
        self,
        options: Options,
        reading: ReadOptions | None = None,
        spill: Path | None = None,
        first: FirstGroups | None = None,
    ) -> None:
        self._options, self._reading, self._spill = options, reading, spill
        self._first = FirstGroups()
        self._grown = self._growing(first, spill) if options.std or first else None

    def add(self, batch: Rollouts) -> None:
        """Add a batch: whole groups, each training step in one batch.

        Raises:
            UsageError: Logged advantages are asked for, or needed, but some are not there.
        """
        if self._grown:
            self._grown.add(batch)
        elif self._first.add(batch):
            self._grown = self._of_first(self._spill)
            self._first = FirstGroups()  # lets go of the batches

    def add_all(self, batches: Iterable[Rollouts]) -> None:
        """Add batches as `add` does, some of them measured side by side."""
        rest = iter(batches)
        while not self._grown and (batch := next(rest, None)):
            self.add(batch)
        if self._grown:
            self._grown.add_all(rest)

    def take_head(self, sums: RunningSums, rejected: pl.DataFrame) -> None:
        """Add what is known of a log before its groups; the divisor is known."""
        assert self._grown
        self._grown.take_head(sums, rejected)

    def take(self, batch: MeasuredBatch) -> None:
        """Add a batch that was measured elsewhere; the divisor is known."""
        assert self._grown
        self._grown.take(batch)

    def tables(self, notes: Collection[str] = ()) -> Tables:
        """The summary and the tables of all batches until now.

        Args:
            notes: Further sentences for the user.

        Raises:
            InputError: No group has two completions.
            UsageError: No table of the log has the outcome part of the options.
        """
        if self._grown:
            return self._grown.tables(notes)
        # Later groups may decide for another divisor, so this is made for now alone, its files in a place of their own.
        return self._of_first(self._spill and Path(mkdtemp(dir=self._spill))).tables(notes)

    def _of_first(self, spill: Path | None) -> _Growing:
        growing = self._growing(self._first, spill)
        growing.add_all(self._first.batches)
        return growing

    def _growing(self, first: FirstGroups | None, spill: Path | None) -> _Growing:
        std, note = (self._options.std, None) if self._options.std or first is None else first.divisor()
        reading = {} if self._reading is None else {name: getattr(self._reading, name) for name in READING}
        return _Growing(replace(self._options, std=std), reading, note, spill)


class _Growing:
    """The sums and tables of an analysis whose divisor is known."""

    def __init__(self, options: Options, reading: dict[str, Any], note: str | None, spill: Path | None) -> None:
        self._options = options
        self._running = RunningSums(options=reading, notes=dict.fromkeys([note] if note else []))
        self._tables = {name: Spill(name, spill) for name in (*MEASURED, "baseline", "rejected", "states")}
        self._gaps: list[pl.DataFrame] = []
        self._prompts = PromptLengths(reading.get("tokenizer"))
        self._samples, self._pseudo_groups = Samples(options.seed), PseudoGroups(options.seed)
        self._texts = Texts(options.seed, options.keep_text, spill)
        self._over_training = OverTraining(options.seed, spill)
        self._baseline = BASELINE | ({VALUE: pl.String()} if options.baseline_by else {})
        self._rows = 0  # since memory was handed back

    def add(self, batch: Rollouts) -> None:
        self.add_all([batch])

    def add_all(self, batches: Iterable[Rollouts]) -> None:
        for batch, made in side_by_side(batches, self._options, self._prompts):
            table = batch.table
            self._running.add(batch)
            self._tables["rejected"].add(batch.rejected)
            slices = self._sampled(self._slices(made), table)
            ordered = in_order(table[group_opens(table), ["run", "step"]])
            self._over_training.add(self._added(slices), self._running, in_order=ordered)

    def _slices(self, made: Iterable[Measured | Apart]) -> Iterator[Measured]:
        """The slices; pseudo-groups are added."""
        for one in made:
            if isinstance(one, Measured):
                yield one
            else:
                self._running.counts[OUTSIDE] += one.outside
                self._add_baseline(one.baseline, one.waiting)

    def _add_baseline(self, baseline: pl.DataFrame, waiting: pl.DataFrame) -> None:
        self._tables["baseline"].add(baseline)
        self._tables["baseline"].add(self._pseudo_groups.add(waiting))

    def take_head(self, sums: RunningSums, rejected: pl.DataFrame) -> None:
        """Add counts, notes and rejected rows."""
        self._running.merge(sums)
        self._tables["rejected"].add(rejected)

    def take(self, batch: MeasuredBatch) -> None:
        """Add a batch that was measured elsewhere."""
        self.take_head(batch.sums, batch.rejected)
        # Only groups that would travel if there were no others can travel in the end.
        mine, kept = (pl.col("group").is_in(rows["group"].unique().to_list()) for rows in (batch.sampled, batch.texts))
        for measured in batch.measured:
            self._samples.add(batch.sampled, measured.groups.filter(mine))
            self._texts.add(batch.texts, measured.groups.filter(kept))
        added = self._added(batch.measured)
        if batch.training is None:
            self._over_training.add(added, self._running, in_order=batch.in_order)
        else:
            deque(added, maxlen=0)
            self._over_training.take(batch.training, self._running)
        self._add_baseline(batch.baseline, batch.waiting)

    def _sampled(self, slices: Iterable[Measured], rows: pl.DataFrame) -> Iterator[Measured]:
        """The slices as they are; of their groups some may travel with the analysis."""
        for measured in slices:
            self._samples.add(rows, measured.groups)
            self._texts.add(rows, measured.groups)
            yield measured

    def _added(self, slices: Iterable[Measured]) -> Iterator[pl.DataFrame]:
        """Add what is measured, slice by slice, and hand its groups on."""
        for measured in slices:
            self._gaps.append(measured.gaps)
            for name in MEASURED:
                self._tables[name].add(getattr(measured, name))
            self._running.add_permuted(measured.steps, measured.permuted)
            self._running.decisions.add(measured.decisions)
            if measured.states:
                self._running.states.add(measured.states)
                self._tables["states"].add(measured.states.table)
            yield measured.groups
            self._rows += len(measured.completions)
            if self._rows >= OFTEN:
                self._rows = 0
                hand_back()

    def tables(self, notes: Collection[str]) -> Tables:
        self._over_training.close(self._running)
        running, tables = replace(self._running, notes=self._running.notes | dict.fromkeys(notes)), self._tables
        if not tables["groups"].rows:
            raise InputError(_no_group(running))
        check_outcome(self._options, running)
        # Only now is it known whether the log has two rewards, and with it which interval a step reward has.
        groups = _with_certain(tables["groups"].parts(), running.binary)
        # Steps that were put together come when the last of them does, which depends on the batches.
        pseudo = tables["baseline"].table_of(self._baseline).collect()
        pseudo = pseudo.sort([c for c in pseudo.columns if c not in OVERLAP], maintain_order=True)
        gaps = pl.concat(self._gaps)
        summary = summarize(
            groups, pseudo, gaps, running, self._pseudo_groups.pooled, tables["rejected"].rows, self._options
        )
        certain = largest(groups, "certain_tokens") is not None
        return Tables(
            summary=summary,
            lazy_groups=pl.concat([part.lazy() for part in groups], how="vertical_relaxed").drop(ID, CONTENT),
            lazy_training=self._over_training.table(groups, pseudo, running, certain=certain),
            lazy_baseline=pseudo.lazy(),
            samples=(samples := self._samples.table()),
            texts=self._texts.table(samples.drop("kind")),
            completions=tables["completions"].table(),
            process_steps=_with_intervals(tables["process_steps"].table(), running),
            permutations=_permutations_table(groups, running),
            lazy_subsamples=tables["subsamples"].table(),
            # A log without such rows has the columns, too.
            decided=tables["decided"].table_of(DECIDED),
            rejected=tables["rejected"].table_of(REJECTED),
            states=tables["states"].table_of(STATES) if self._options.share == "state" else None,
        )


def _no_group(running: RunningSums) -> str:
    # A file or rows without groups are refused while they are read: this is about Groups and Rollouts.
    if not running.counts["completions_read"]:
        return "No completion can be used. Give Groups with finite rewards, or Rollouts with rows."
    return (
        f"No group has two completions or more ({running.counts['completions_read']} completions, each alone in its "
        "group). Give the completions of one prompt one group: groups of Groups.of, or the column group of Rollouts."
    )


def _permutations_table(groups: Parts, running: RunningSums) -> pl.DataFrame:
    draws = pl.DataFrame(null_of_log(groups, running), nan_to_null=True)
    return draws.select(pl.int_range(pl.len()).alias("permutation"), pl.all())


def _with_certain(groups: Parts, binary: bool) -> list[pl.LazyFrame | pl.DataFrame]:
    """Choose the interval of the step rewards: Wilson if the log has exactly two rewards, else Student.

    With two rewards and five completions or fewer no interval is that narrow: null (definitions: Certain share).
    """
    certain = pl.col("certain_wilson" if binary else "certain_student")
    if binary and largest(groups, "k") <= NEVER_CERTAIN:
        certain = pl.lit(None, pl.Float64)
    return [part.with_columns(certain_tokens=certain).drop("certain_wilson", "certain_student") for part in groups]


def _with_intervals(steps: pl.LazyFrame, running: RunningSums) -> pl.LazyFrame:
    """Put low and high of the step reward in place of the half width of its Student interval."""
    reward, half = pl.col("reward"), pl.col("half_width")
    low, high = reward - half, reward + half
    if running.binary:
        bounds = pl.struct("reward", "size").map_batches(
            partial(_wilson, bottom=min(running.rewards), top=max(running.rewards)),
            return_dtype=pl.Struct({"low": pl.Float64, "high": pl.Float64}),
            is_elementwise=True,  # so that a long log is written part by part
        )
        low, high = bounds.struct.field("low"), bounds.struct.field("high")
    return steps.with_columns(low=low, high=high).drop("half_width")


def _wilson(steps: pl.Series, bottom: float, top: float) -> pl.Series:
    """Wilson interval of the step rewards of a log whose only rewards are `bottom` and `top`; null without reward."""
    reward, size = steps.struct.field("reward").to_numpy(), steps.struct.field("size").to_numpy()
    # A mean of two values is a proportion on another scale, and its number of successes is whole but for rounding.
    successes = np.rint((reward - bottom) / (top - bottom) * size)
    bounds = (share * (top - bottom) + bottom for share in wilson(successes, size))
    return pl.DataFrame(dict(zip(("low", "high"), bounds, strict=True)), nan_to_null=True).to_struct()
