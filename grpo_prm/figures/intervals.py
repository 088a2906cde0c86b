"""Ratios of sums over groups for many columns of a figure at once, which share the resamples of its clusters."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..analysis.clusters import CLUSTER, ids_of
from ..analysis.ratios import percentiles
from ..core.forest import Floats, Ints
from ..core.interval import BLOCKS, FEW_CLUSTERS, Interval, block_of, cluster_sums, resampled_sums


def ratio_intervals(
    tops: Floats, bottoms: Floats, clusters: Ints, seed: int, blocks: Ints | None = None
) -> list[Interval]:
    """Each ratio of sums with its 95 % range.

    Args:
        tops: Numerators, shape (groups, columns).
        bottoms: Denominators, 0 where a group has no say, shape (groups, columns).
        clusters: Dense cluster of each group, shape (groups,).
        seed: Of the resamples.
        blocks: Of very many clusters the blocks that are resampled in their place, shape (clusters,).

    Returns:
        One interval per column, percentiles over the resamples in which it exists; the number of clusters with a say
        in it is its `n`. Without ends where these are fewer than `FEW_CLUSTERS`, without a mean where there are none.
    """
    columns = tops.shape[1]
    sums = cluster_sums(np.concatenate([tops, bottoms], axis=1), clusters)
    counts = (sums[:, columns:] > 0).sum(axis=0)
    sums = sums if blocks is None else cluster_sums(sums, blocks)
    # One draw of clusters serves all columns, so that points of a curve differ by data and not by the draw.
    resampled = resampled_sums(sums, seed) if len(sums) >= FEW_CLUSTERS else np.zeros((0, 2 * columns))
    top, bottom = np.hsplit(np.concatenate([sums.sum(axis=0, keepdims=True), resampled]), 2)
    ratios = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    means, ranges = ratios[0], percentiles(ratios[1:])
    return [
        Interval(
            float(mean) if n else None, *((float(low), float(high)) if n >= FEW_CLUSTERS else (None, None)), int(n)
        )
        for mean, low, high, n in zip(means, *ranges, counts, strict=True)
    ]


def cluster_of(table: pl.DataFrame) -> Ints:
    """Dense number of the (run, problem) of each row, shape (rows,), from 0."""
    return table.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy().astype(np.int64) - 1


def long_intervals(
    tops: Floats, bottoms: Floats, column: Ints, columns: int, table: pl.DataFrame, seed: int
) -> list[Interval]:
    """`ratio_intervals` of a long table, each of whose rows has a say in one column.

    Args:
        tops: What each row adds to a numerator, shape (rows,).
        bottoms: And to its denominator, shape (rows,).
        column: To which column, shape (rows,).
        columns: How many there are.
        table: The rows, with the names of their clusters.
        seed: Of the resamples.
    """
    cluster = cluster_of(table)
    number = int(cluster.max(initial=-1)) + 1
    at = cluster * columns + column
    added = (np.bincount(at, values, number * columns) for values in (tops, bottoms))
    top, bottom = (values.astype(np.float64).reshape(number, columns) for values in added)
    return ratio_intervals(top, bottom, np.arange(number), seed, _blocks(table, cluster) if number > BLOCKS else None)


def _blocks(table: pl.DataFrame, cluster: Ints) -> Ints:
    """Block of each cluster, shape (clusters,)."""
    return block_of(ids_of(table[np.unique(cluster, return_index=True)[1]]))
