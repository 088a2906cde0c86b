"""Every statistic over training: one row per training step and statistic."""

from __future__ import annotations

import polars as pl

from ..core.permutations import NullRange, null_range
from .null import FIXED, fixed_sums, null_distributions
from .ratios import CLUSTER, Sums
from .running_sums import RunningSums
from .statistics import OVERLAP

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "statistic": pl.String(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
    "null_mean": pl.Float64(),
    "null_low": pl.Float64(),
    "null_high": pl.Float64(),
}
NO_NULL = NullRange(None, None, None)


def training_table(groups: pl.DataFrame, baseline: pl.DataFrame, running: RunningSums, seed: int) -> pl.DataFrame:
    """Statistics of each step, with the intervals of `ratios.Sums` inside the step.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups; their statistics are named `baseline_NAME`. They share prompts within a step, so
            that a step gives no interval of them.
        running: With the sums under the permutations in each step.
        seed: Of the resamples.

    Returns:
        `SCHEMA`, sorted by run and step in the order of the log; `null_*` of the statistics that have a permutation
        null.
    """
    rows, sums = [], Sums(groups, CLUSTER)
    steps = groups.with_row_index("row").group_by("run", "step", maintain_order=True)
    for run, step, at, *fixed in steps.agg("row", *fixed_sums()).iter_rows():
        of_trees = dict(zip(FIXED, fixed, strict=True))
        null = null_distributions(running.permuted[run, step], of_trees, binary=running.binary)
        for name, value in sums.intervals(seed, at).items():
            # Without the statistic itself its null would have nothing to stand beside.
            has_null = name in null and value.mean is not None
            rows.append((run, step, name, *value, *(null_range(null[name]) if has_null else NO_NULL)))
    # Pseudo-groups of a step share their prompts, so there are no clusters to resample: a mean without interval.
    for (run, step), pseudo in baseline.group_by("run", "step", maintain_order=True):
        rows += [
            (run, step, f"baseline_{name}", pseudo[name].cast(pl.Float64).mean(), None, None, len(pseudo), *NO_NULL)
            for name in OVERLAP
        ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
