"""Every statistic over training: one row per training step and figure."""

from __future__ import annotations

import polars as pl

from ..core.permutations import NullRange, null_figures, null_range
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
_INFORMATIVE, _BETWEEN = pl.col("informative_tokens").sum(), pl.col("intermediate_tokens").sum()


def training_table(groups: pl.DataFrame, baseline: pl.DataFrame, running: RunningSums, seed: int) -> pl.DataFrame:
    """Figures of each step, with the intervals of `ratios.Sums` inside the step.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups; their figures are named `baseline_NAME`. They share prompts within a step, so that
            a step gives no interval of them.
        running: What the rewards dealt anew give in each step.
        seed: Of the resamples.

    Returns:
        `SCHEMA`, sorted by run and step in the order of the log; `null_*` of the figures that depend on the rewards.
    """
    rows, sums = [], Sums(groups, CLUSTER)
    steps = groups.with_row_index("row").group_by("run", "step", maintain_order=True).agg("row", _INFORMATIVE, _BETWEEN)
    for run, step, at, informative, intermediate in steps.iter_rows():
        dealt = null_figures(running.dealt[run, step], informative, intermediate, binary=running.binary)
        for name, value in sums.intervals(seed, at).items():
            known = name in dealt and value.mean is not None
            rows.append((run, step, name, *value, *(null_range(dealt[name]) if known else NO_NULL)))
    for (run, step), part in baseline.group_by("run", "step", maintain_order=True):
        rows += [
            (run, step, f"baseline_{name}", part[name].cast(pl.Float64).mean(), None, None, len(part), *NO_NULL)
            for name in OVERLAP
        ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")
