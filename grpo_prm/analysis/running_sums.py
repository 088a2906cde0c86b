"""Sums over the batches of a log that stand in none of its tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ..core.permutations import PermutedSums, zero_sums
from ..logs.rollouts import REWARD_PART, Rollouts, group_opens, merged_methods
from .decided_steps import DecidedSteps
from .states_table import RunningStates

DISTINCT = 3  # rewards remembered: all that is asked is whether there are exactly two


@dataclass
class RunningSums:
    """Sums and sets over the batches of a log; dictionaries keep the order in which things came.

    Attributes:
        counts: `Rollouts.counts` and `completions_read`, `groups_of_one`, `tokens_masked` (out of the loss, of groups
            of two or more).
        notes: Sentences for the user.
        reasons: Why rows were rejected, field and reason, with the number of rows.
        files: Files read.
        formats: Formats found.
        methods: `Rollouts.methods`.
        tokens_from: Where units came from, with the number of completions.
        rewards: The first distinct rewards of groups of two or more.
        steps: (run, step) of every group, step None where none was logged.
        parts: Named parts of the reward.
        options: What of the reading changed numbers.
        permuted: Sums of the permutations over the groups of each (run, step) that is not over.
        closed: The same over all steps that are over (`close`).
        decisions: Of all slices.
        states: Of all slices, where they are asked for.
    """

    counts: Counter[str] = field(default_factory=Counter)
    notes: dict[str, None] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    files: dict[str, None] = field(default_factory=dict)
    formats: dict[str, None] = field(default_factory=dict)
    methods: dict[str, frozenset[str | None]] = field(default_factory=dict)
    tokens_from: Counter[str] = field(default_factory=Counter)
    rewards: set[float] = field(default_factory=set)
    steps: set[tuple[str, int | None]] = field(default_factory=set)
    parts: set[str] = field(default_factory=set)
    options: dict[str, object] = field(default_factory=dict)
    permuted: dict[tuple[str, int | None], PermutedSums] = field(default_factory=dict)
    closed: PermutedSums | None = None
    decisions: DecidedSteps = field(default_factory=DecidedSteps)
    states: RunningStates = field(default_factory=RunningStates)

    def add(self, batch: Rollouts) -> None:
        """Add a batch: its counts and notes, and what is counted in its table."""
        self.counts.update(batch.counts)
        self.notes |= dict.fromkeys(batch.notes)
        self.reasons.update(reasons_of(batch.rejected))
        self.files |= dict.fromkeys(batch.files)
        self.formats |= dict.fromkeys([batch.format] if batch.format else [])
        self.methods = merged_methods([self.methods, batch.methods])
        table = batch.table
        self.counts["completions_read"] += len(table)
        self.tokens_from.update(dict(table["tokens_from"].value_counts().iter_rows()))
        self.parts.update(name.removeprefix(REWARD_PART) for name in table.columns if name.startswith(REWARD_PART))
        opens = group_opens(table)
        self.steps.update(table[opens, ["run", "step"]].unique().iter_rows())
        sizes = np.diff(opens, append=len(table))
        # A group of one is in no table of the analysis, so it is counted here.
        self.counts["groups_of_one"] += int((sizes == 1).sum())
        masked = table["mask"].list.len() - table["mask"].list.sum()
        self.counts["tokens_masked"] += int(masked.filter(pl.Series(np.repeat(sizes > 1, sizes))).sum())
        # Past two rewards the log is not binary, and a float reward would fill the set with millions of values.
        if len(self.rewards) < DISTINCT:
            rewards = table["reward"].to_numpy()[np.repeat(sizes > 1, sizes)]
            self.rewards.update(np.unique(rewards[~np.isnan(rewards)])[:DISTINCT].tolist())

    def merge(self, other: RunningSums) -> None:
        """Add what `add` counted of later batches."""
        self.counts.update(other.counts)
        self.notes |= other.notes
        self.reasons.update(other.reasons)
        self.files |= other.files
        self.formats |= other.formats
        self.methods = merged_methods([self.methods, other.methods])
        self.tokens_from.update(other.tokens_from)
        self.parts |= other.parts
        self.steps |= other.steps
        if len(self.rewards) < DISTINCT:
            self.rewards |= other.rewards

    @property
    def why_rejected(self) -> list[str]:
        """`why_rejected` of all batches."""
        return why_rejected(self.reasons)

    def add_permuted(self, steps: Sequence[tuple[str, int | None]], permuted: PermutedSums) -> None:
        """Add the permutations of a slice, one bin for each of `steps`."""
        for step, *sums in zip(steps, *permuted, strict=True):
            # A step may come in several slices, each with its own groups: their sums add up.
            before = self.permuted.get(step)
            self.permuted[step] = PermutedSums(*sums) if before is None else PermutedSums(*map(np.add, before, sums))

    @property
    def permuted_in_all(self) -> PermutedSums:
        """Sums of the permutations over the whole log, shape (permutations,) each."""
        sums = [*([] if self.closed is None else [self.closed]), *self.permuted.values()]
        return PermutedSums(*np.sum(sums, axis=0)) if sums else zero_sums()

    def close(self, step: tuple[str, int | None]) -> PermutedSums:
        """A step is over: its sums of the permutations, which are held no longer but in `closed`."""
        sums = self.permuted.pop(step)
        self.closed = sums if self.closed is None else PermutedSums(*map(np.add, self.closed, sums))
        return sums

    @property
    def binary(self) -> bool:
        """Has the log exactly two rewards?"""
        return len(self.rewards) == 2


def reasons_of(rejected: pl.DataFrame) -> Counter[str]:
    """Why rows were rejected, field and reason, with the number of rows."""
    fields = rejected.select("field", "reason").iter_rows()
    return Counter(f"{name}: {reason}" if name else reason for name, reason in fields)


def why_rejected(reasons: Counter[str]) -> list[str]:
    """A sentence about rejected rows, by `reasons_of`; none without any."""
    if not reasons:
        return []
    ((reason, rows),) = reasons.most_common(1)
    number = reasons.total()
    most = f"most of them ({rows:,})" if rows < number else "all of them" if number > 1 else ""
    what = "1 row is rejected" if number == 1 else f"{number:,} rows are rejected"
    return [f"{what}, {most} for this: {reason}." if most else f"{what}: {reason}."]
