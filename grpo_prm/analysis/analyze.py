"""From rollouts to every number: batches are measured one by one, added up, and summed up (DESIGN: The one idea)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl

from ..core.interval import Z
from ..errors import InputError
from ..logs import ReadOptions, fold
from ..logs.prefetch import prefetch
from ..logs.rollouts import REJECTED, Rollouts, validate
from .cross_prompt import PseudoGroups
from .measure import measure
from .null import null_of_log
from .options import Options
from .over_training import training_table
from .running_sums import RunningSums
from .samples import Samples
from .spill import Spill
from .summary import summarize

Paths = str | Path | Sequence[str | Path]
NEVER_CERTAIN = 5  # completions of a group up to which no interval of two rewards is narrow enough


@dataclass(frozen=True, slots=True)
class Analysis:
    """What a log says.

    Attributes:
        summary: The content of summary.json (DESIGN: What the user sees).
        groups: One row per group of two or more: overlap, defect sums.
        training: One row per training step and statistic, with interval.
        baseline: One row per cross-prompt pseudo-group.
        samples: Rollouts of the worst, best and some random groups, with text.
        completions: One row per completion.
        process_steps: One row per process step: span, size, reward, advantage, interval.
        permutations: One row per permutation: what the log gives with its rewards dealt anew.
        subsamples: One row per group and size of subset: the overlap expected of random subsets of the group.
        rejected: One row per row of the log that was left out.
    """

    summary: dict[str, Any]
    groups: pl.DataFrame
    training: pl.DataFrame
    baseline: pl.DataFrame
    samples: pl.DataFrame
    completions: pl.LazyFrame
    process_steps: pl.LazyFrame
    permutations: pl.DataFrame
    subsamples: pl.DataFrame
    rejected: pl.LazyFrame


def analyze(
    log: Paths | Iterable[Rollouts],
    options: Options | None = None,
    *,
    reading: ReadOptions | None = None,
    spill: Path | None = None,
) -> Analysis:
    """Analyse a log of rollouts.

    Args:
        log: Files and folders, or canonical tables (docs/logs.md) with whole groups and each training step in one.
        options: What changes the numbers.
        reading: How to read the files.
        spill: Folder for the parts of the large tables of a long log; must outlive the analysis. None: memory.

    Returns:
        The analysis.

    Raises:
        InputError: Nothing can be read, a table is not canonical, or no group has two completions.
        UsageError: An option does not fit the log, or logged advantages are needed and missing.
    """
    options = options or Options()
    items = iter([log] if isinstance(log, str | Path) else log)
    first = next(items, None)
    if isinstance(first, Rollouts):
        given = (batch for batch in chain([first], items) if isinstance(batch, Rollouts))
        checked = (batch._replace(table=validate(batch.table, "rollouts")) for batch in given)
        return _analyze(checked, options, spill, {})
    files = [name for name in (first, *items) if isinstance(name, str | Path)]
    reading = reading or ReadOptions()
    return fold(files, reading, lambda batches: _analyze(batches, options, spill, _numbers_of(reading)))


def _numbers_of(reading: ReadOptions) -> dict[str, Any]:
    """What of the reading changes numbers, for summary.json."""
    names = ("format", "columns", "reward", "tokenizer", "group_size", "drop_uneven")
    return {name: getattr(reading, name) for name in names}


def _analyze(batches: Iterable[Rollouts], options: Options, spill: Path | None, reading: dict[str, Any]) -> Analysis:
    running = RunningSums(options=reading)
    large = {name: Spill(name, spill) for name in ("completions", "process_steps", "rejected")}
    groups, baseline, subsamples, samples, pool = [], [], [], Samples(options.seed), PseudoGroups(options.seed)
    for batch in prefetch(batches):
        running.add(batch)
        large["rejected"].add(batch.rejected)
        for part in measure(batch.table, options):
            groups.append(part.groups)
            subsamples.append(part.subsamples)
            large["completions"].add(part.completions)
            large["process_steps"].add(part.process_steps)
            running.add_permuted(part.steps, part.permuted)
            samples.add(batch.table, part.groups)
        baseline.append(pool.add(batch.table))
    if not groups:
        raise InputError(_no_group(running))
    table = _with_certain(pl.concat(groups, how="vertical_relaxed"), running.binary)
    pseudo = pl.concat(baseline)
    return Analysis(
        summary=summarize(table, pseudo, running, pool.pooled, large["rejected"].rows, options),
        groups=table,
        training=training_table(table, pseudo, running, options.seed),
        baseline=pseudo,
        samples=samples.table(),
        completions=large["completions"].table(),
        process_steps=_with_intervals(large["process_steps"].table(), running),
        permutations=_permutations_table(table, running),
        subsamples=pl.concat(subsamples, how="vertical_relaxed"),
        rejected=pl.concat([pl.LazyFrame(schema=REJECTED), large["rejected"].table()], how="diagonal"),
    )


def _no_group(running: RunningSums) -> str:
    if not running.counts["completions_read"]:
        return "No completion could be read. See what was rejected and why with grpo-prm inspect."
    return (
        f"No group has two completions or more ({running.counts['completions_read']} completions, each alone in its "
        "group). Name the column that groups them with --columns group=COLUMN."
    )


def _permutations_table(groups: pl.DataFrame, running: RunningSums) -> pl.DataFrame:
    draws = pl.DataFrame(null_of_log(groups, running), nan_to_null=True)
    return draws.select(pl.int_range(pl.len()).alias("permutation"), pl.all())


def _with_certain(groups: pl.DataFrame, binary: bool) -> pl.DataFrame:
    """Choose the interval of the step rewards: Wilson if the log has exactly two rewards, else Student.

    With two rewards and five completions or fewer no interval is that narrow: null (SPEC: Certain share).
    """
    certain = pl.col("certain_wilson" if binary else "certain_student")
    if binary and (groups["k"] <= NEVER_CERTAIN).all():
        certain = pl.lit(None, pl.Float64)
    return groups.with_columns(certain_tokens=certain).drop("certain_wilson", "certain_student")


def _with_intervals(steps: pl.LazyFrame, running: RunningSums) -> pl.LazyFrame:
    """Put low and high of the step reward in place of the half width of its Student interval."""
    reward, half, size = pl.col("reward"), pl.col("half_width"), pl.col("size")
    low, high = reward - half, reward + half
    if running.binary:
        bottom, top = min(running.rewards), max(running.rewards)
        p, square = (reward - bottom) / (top - bottom), Z * Z / size
        centre = (p + square / 2) / (1 + square)
        wide = Z / (1 + square) * (p * (1 - p) / size + square / (4 * size)).clip(0.0).sqrt()
        low, high = ((centre + sign * wide).clip(0.0, 1.0) * (top - bottom) + bottom for sign in (-1, 1))
    return steps.with_columns(low=low, high=high).drop("half_width")
