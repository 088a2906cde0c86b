"""From rollouts to every number: batches are measured one by one, added up, and summed up."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np
import polars as pl

from ..core.groups import Groups
from ..core.interval import wilson
from ..core.prm import Std
from ..errors import InputError, UsageError
from ..logs import ReadOptions
from ..logs.prefetch import prefetch
from ..logs.rollouts import REJECTED, Rollouts
from .cross_prompt import PseudoGroups
from .decided_table import SCHEMA as DECIDED
from .divisor import find_divisor
from .inputs import fold_input
from .measure import measure
from .null import null_of_log
from .options import Options
from .over_training import training_table
from .prompts import PromptLengths
from .running_sums import RunningSums
from .samples import Samples
from .spill import Spill
from .summary import summarize
from .tables import LARGE, Tables
from .teaching import check_outcome

NEVER_CERTAIN = 5  # completions of a group up to which no interval of two rewards is narrow enough


def analyze(
    log: Any,
    options: Options | None = None,
    *,
    reading: ReadOptions | None = None,
    spill: Path | None = None,
) -> Tables:
    """Analyse a log of rollouts.

    Args:
        log: Files and folders; rows in memory, whose columns are found as those of a file: a polars or pandas
            DataFrame, a datasets.Dataset, dicts; `Groups`; or canonical tables (docs/logs.md) as `Rollouts`, with whole
            groups and each training step in one.
        options: What changes the numbers. None: the usual ones.
        reading: How to read files and rows.
        spill: Folder for the large tables of a long log, piece by piece; must outlive the analysis. None: memory.

    Returns:
        The summary and the tables.

    Raises:
        InputError: Nothing can be read, a table is not canonical, or no group has two completions.
        UsageError: An argument is not what it should be, an option does not fit the log, or logged advantages are
            needed and missing.
    """
    options = _checked(options, log)

    def measured(batches: Iterable[Rollouts], read: bool) -> Tables:
        return _analyze(batches, options, spill, _numbers_of(reading or ReadOptions()) if read else {})

    return fold_input(log, reading, measured)


def _checked(options: Options | None, log: Any) -> Options:
    """The options, refused where one is nothing that there is; what is None is that of the groups, or the usual.

    `std` stays None where the log decides it.
    """
    options = Options() if options is None else options
    if not isinstance(options, Options):
        raise UsageError(f"options is a {type(options).__name__}, not Options. Give grpo_prm.Options(...).")
    # Each by itself, so that a seed does not change the divisor of the groups.
    std, advantage = options.std, options.advantage
    if std is None and isinstance(log, Groups):
        std = log.std
    if advantage is None:
        advantage = "logged" if isinstance(log, Groups) and log.given is not None else "computed"
    options = replace(options, std=std, advantage=advantage)
    for name, choices in (("std", (None, *get_args(Std))), ("advantage", ("computed", "logged"))):
        if getattr(options, name) not in choices:
            raise UsageError(f"{name} is {getattr(options, name)!r}. Choose from {', '.join(filter(None, choices))}.")
    if not isinstance(options.seed, int | np.integer) or options.seed < 0:
        raise UsageError(f"seed is {options.seed!r}. Give a whole number from 0 on.")
    if not isinstance(options.outcome, str | None):
        raise UsageError(f"outcome is {options.outcome!r}. Give the name of a part of the reward.")
    return replace(options, seed=int(options.seed))  # summary.json has no place for numbers of numpy


def _numbers_of(reading: ReadOptions) -> dict[str, Any]:
    """What of the reading changes numbers, for summary.json."""
    names = ("format", "columns", "reward", "tokenizer", "group_size", "drop_uneven")
    return {name: getattr(reading, name) for name in names}


def _analyze(batches: Iterable[Rollouts], options: Options, spill: Path | None, reading: dict[str, Any]) -> Tables:
    running = RunningSums(options=reading)
    large = {name: Spill(name, spill) for name in (*LARGE, "rejected")}
    groups, baseline, subsamples, gaps = [], [], [], []
    prompts = PromptLengths(reading.get("tokenizer"))
    samples, pseudo_groups = Samples(options.seed), PseudoGroups(options.seed)
    batches = prefetch(batches)  # the next batch is read while one is measured
    if options.std is None:
        std, note, batches = find_divisor(batches)
        options = replace(options, std=std)
        running.notes |= dict.fromkeys([note] if note else [])
    for batch in batches:
        running.add(batch)
        large["rejected"].add(batch.rejected)
        for measured in measure(batch.table, options, prompts):
            groups.append(measured.groups)
            subsamples.append(measured.subsamples)
            gaps.append(measured.gaps)
            for name in LARGE:
                large[name].add(getattr(measured, name))
            running.add_permuted(measured.steps, measured.permuted)
            running.decisions.append(measured.decisions)
            samples.add(batch.table, measured.groups)
        baseline.append(pseudo_groups.add(batch.table))
    if not groups:
        raise InputError(_no_group(running))
    check_outcome(options, running)
    # Only now is it known whether the log has two rewards, and with it which interval a step reward has.
    table = _with_certain(pl.concat(groups, how="vertical_relaxed"), running.binary)
    pseudo = pl.concat(baseline)
    return Tables(
        summary=summarize(
            table, pseudo, pl.concat(gaps), running, pseudo_groups.pooled, large["rejected"].rows, options
        ),
        groups=table,
        training=training_table(table, pseudo, running, options.seed),
        baseline=pseudo,
        samples=samples.table(),
        completions=large["completions"].table(),
        process_steps=_with_intervals(large["process_steps"].table(), running),
        permutations=_permutations_table(table, running),
        subsamples=pl.concat(subsamples, how="vertical_relaxed"),
        # A log without such rows has the columns, too.
        decided=pl.concat([pl.LazyFrame(schema=DECIDED), large["decided"].table()], how="diagonal"),
        rejected=pl.concat([pl.LazyFrame(schema=REJECTED), large["rejected"].table()], how="diagonal"),
    )


def _no_group(running: RunningSums) -> str:
    # A file or rows without groups are refused while they are read: this is about Groups and Rollouts.
    if not running.counts["completions_read"]:
        return "No completion can be used. Give Groups with finite rewards, or Rollouts with rows."
    return (
        f"No group has two completions or more ({running.counts['completions_read']} completions, each alone in its "
        "group). Give the completions of one prompt one group: groups of Groups.of, or the column group of Rollouts."
    )


def _permutations_table(groups: pl.DataFrame, running: RunningSums) -> pl.DataFrame:
    draws = pl.DataFrame(null_of_log(groups, running), nan_to_null=True)
    return draws.select(pl.int_range(pl.len()).alias("permutation"), pl.all())


def _with_certain(groups: pl.DataFrame, binary: bool) -> pl.DataFrame:
    """Choose the interval of the step rewards: Wilson if the log has exactly two rewards, else Student.

    With two rewards and five completions or fewer no interval is that narrow: null (definitions: Certain share).
    """
    certain = pl.col("certain_wilson" if binary else "certain_student")
    if binary and (groups["k"] <= NEVER_CERTAIN).all():
        certain = pl.lit(None, pl.Float64)
    return groups.with_columns(certain_tokens=certain).drop("certain_wilson", "certain_student")


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
