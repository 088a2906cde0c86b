"""Every statistic over training: one row per training step and figure."""

from __future__ import annotations

import polars as pl

from .statistics import CLUSTER, OVERLAP, Sums

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "statistic": pl.String(),
    "mean": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "n": pl.Int64(),
}


def training_table(groups: pl.DataFrame, baseline: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Figures of each step, with the intervals of `statistics.Sums` inside the step.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups; their figures are named `baseline_NAME`. They share prompts within a step, so that
            a step gives no interval of them.
        seed: Of the resamples.

    Returns:
        `SCHEMA`, sorted by run and step in the order of the log.
    """
    rows, sums = [], Sums(groups, CLUSTER)
    steps = groups.with_row_index("row").group_by("run", "step", maintain_order=True).agg("row")
    for run, step, at in steps.iter_rows():
        rows += [(run, step, name, *value) for name, value in sums.intervals(seed, at).items()]
    for (run, step), part in baseline.group_by("run", "step", maintain_order=True):
        rows += [
            (run, step, f"baseline_{name}", part[name].cast(pl.Float64).mean(), None, None, len(part))
            for name in OVERLAP
        ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
