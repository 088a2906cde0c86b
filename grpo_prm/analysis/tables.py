"""What an analysis is: a summary and tables, of a log just measured or of a folder read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

# Written to a folder under these names, in this order; `rejected` is JSON lines, for people to read.
TABLES = (
    *("groups", "training", "baseline", "samples", "texts", "completions", "process_steps", "permutations"),
    *("subsamples", "decided"),
)
ASKED_FOR = ("states",)  # written only where an option asked for it


@dataclass(frozen=True, slots=True, eq=False)
class Tables:
    """What a log says. Columns: docs/output.md.

    Attributes:
        summary: The content of summary.json.
        lazy_groups: One row per group of two or more: overlap, defect sums; lazy, since a log may have millions.
        lazy_training: One row per training step and statistic, with interval; lazy.
        lazy_baseline: One row per cross-prompt pseudo-group; lazy.
        samples: Rollouts of the worst, best and some random groups, with text.
        texts: Rollouts of other groups that were kept, with text (`analysis.texts`); lazy, since there may be many.
        completions: One row per completion; lazy, since of a long log it is large.
        process_steps: One row per process step: span, size, reward, advantage, interval; lazy.
        permutations: One row per permutation: what the log gives with its rewards permuted.
        lazy_subsamples: One row per group and size of subset: the overlap expected of random subsets of the group;
            lazy.
        decided: One row per group, axis and point of the curve of where the outcome is decided; lazy.
        rejected: One row per row of the log that was left out; lazy.
        states: One row per state that completions of a group share, with `share="state"`; lazy. None: not asked for.
        path: The folder that it was read from; None of a log just measured.
    """

    summary: dict[str, Any]
    lazy_groups: pl.LazyFrame
    lazy_training: pl.LazyFrame
    lazy_baseline: pl.LazyFrame
    samples: pl.DataFrame
    texts: pl.LazyFrame
    completions: pl.LazyFrame
    process_steps: pl.LazyFrame
    permutations: pl.DataFrame
    lazy_subsamples: pl.LazyFrame
    decided: pl.LazyFrame
    rejected: pl.LazyFrame
    states: pl.LazyFrame | None = None
    path: Path | None = None

    @property
    def groups(self) -> pl.DataFrame:
        """`lazy_groups`, collected: every column of every group."""
        return self.lazy_groups.collect()

    @property
    def training(self) -> pl.DataFrame:
        """`lazy_training`, collected."""
        return self.lazy_training.collect()

    @property
    def baseline(self) -> pl.DataFrame:
        """`lazy_baseline`, collected."""
        return self.lazy_baseline.collect()

    @property
    def subsamples(self) -> pl.DataFrame:
        """`lazy_subsamples`, collected."""
        return self.lazy_subsamples.collect()


def table_of(analysis: Any, name: str) -> pl.LazyFrame:
    """One of `TABLES`, lazy, whether the analysis holds it so or not."""
    held = getattr(analysis, f"lazy_{name}", None)
    return getattr(analysis, name).lazy() if held is None else held
