"""What smaller groups would have shown: overlap against the number of completions."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl

from ..analysis.ratios import CLUSTER
from .distribution import OVERLAP
from .logs import Logs
from .ratios import ratio_intervals


def by_k(logs: Logs) -> pl.DataFrame:
    """Mean overlap over groups for each number of completions, exact over the subsets of each group.

    Groups of several sizes: a number of completions has only the groups with as many or more, `groups` of them; of
    `whole` groups these are all.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (path_depth, intermediate_proportion), `size`, `mean`, `low`, `high` (95 %, over prompts;
        null below 20 of them), `n` (prompts), `groups`, `whole`.
    """
    rows: list[tuple] = []
    for (run,), part in logs.subsamples.group_by("run", maintain_order=True):
        sizes = part["size"].unique().sort().to_list()
        counts = {
            size: (groups, whole)
            for size, groups, whole in part.group_by("size")
            .agg(pl.len(), whole=(pl.col("k") == pl.col("size")).sum())
            .iter_rows()
        }
        cluster = part.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
        at = np.searchsorted(sizes, part["size"].to_numpy())
        for statistic in OVERLAP:
            values = part[statistic].cast(pl.Float64).to_numpy()
            known = ~np.isnan(values)
            tops, bottoms = (_spread(v[known], at[known], len(sizes)) for v in (values, np.ones(len(values))))
            found = ratio_intervals(tops, bottoms, cluster[known], logs.seed)
            rows += [(run, statistic, size, *found[n], *counts[size]) for n, size in enumerate(sizes)]
    return _table(rows).filter(pl.col("mean").is_not_null())


def _spread(values: np.ndarray, at: np.ndarray, parts: int) -> np.ndarray:
    """A row per value, 0 but in its column `at`, shape (values, parts)."""
    spread = np.zeros((len(values), parts))
    spread[np.arange(len(values)), at] = values
    return spread


def _table(rows: Iterable[tuple]) -> pl.DataFrame:
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    ints = dict.fromkeys(("n", "groups", "whole"), pl.Int64)
    names = {"run": pl.String, "statistic": pl.String, "size": pl.Int64, **floats, **ints}
    return pl.DataFrame(list(rows), names, orient="row")
