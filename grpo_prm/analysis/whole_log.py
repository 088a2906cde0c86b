"""Sums of a whole log over its clusters, in memory that does not grow with it; its statistics with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, Drawn, Interval, cluster_sums, resampled_sums
from .chunks import Parts, added_up, chunks, columns_read
from .clusters import Clusters
from .ratios import Matrix, columns_of, matrix
from .statistics import OF_GROUPS


class ClusterSums(NamedTuple):
    """Sums of groups, added up over clusters.

    Attributes:
        sums: A row for each cluster in the order of names; of many clusters one for each block that has some. Shape
            (rows, columns).
        clusters: How many clusters there are.
        positive: How many of them have a group in which the column is positive, shape (columns,); of a column that is
            never negative it is the number of clusters whose sum is positive.
    """

    sums: Floats
    clusters: int
    positive: Ints


def log_intervals(
    table: Parts | pl.DataFrame, clusters: Clusters, seed: int, names: Sequence[str] = OF_GROUPS
) -> dict[str, Interval]:
    """The intervals of `log_drawn`."""
    return {name: one.interval for name, one in log_drawn(table, clusters, seed, names).items()}


def log_drawn(
    table: Parts | pl.DataFrame, clusters: Clusters, seed: int, names: Sequence[str] = OF_GROUPS
) -> dict[str, Drawn]:
    """Every statistic of a log with its 95 % range (`Matrix.drawn`).

    Args:
        table: The groups table, or another with the columns of the statistics, one row or more.
        clusters: `find_clusters` of it.
        seed: Of the resamples.
        names: Which of `STATISTICS`.
    """
    made = matrix_of(table, names)
    found = add_by_cluster(table, made.sums, clusters)
    few = found.clusters < FEW_CLUSTERS
    resampled = np.empty((0, len(names))) if few else made.statistics(resampled_sums(found.sums, seed))
    return made.drawn(made.statistics(found.sums.sum(axis=0)), resampled, found.positive[made.bottom])


def matrix_of(table: Parts | pl.DataFrame, names: Sequence[str]) -> Matrix:
    """`matrix` of a long table."""
    tops = sorted({columns_of(name)[0] for name in names})
    nulls = added_up(table, {top: pl.col(top).null_count() for top in tops} | {"groups": pl.col(tops[0]).len()})
    return matrix(names, nulls, nulls["groups"])


def add_by_cluster(
    table: Parts | pl.DataFrame, sums: Sequence[pl.Expr], clusters: Clusters, where: pl.Expr | None = None
) -> ClusterSums:
    """Add up what groups give to some columns, cluster by cluster, in the order of the table.

    Args:
        table: The groups.
        sums: The columns, float64, named apart.
        clusters: `find_clusters` of it.
        where: Groups to add; None: all.
    """
    total = np.zeros((clusters.rows, len(sums)))
    some = np.zeros(clusters.rows, bool)
    seen: list[tuple[NDArray[np.uint64], NDArray[np.uint8]]] = []
    for chunk in chunks(table, list(dict.fromkeys([*clusters.columns, *columns_read(*sums)])), where):
        if not len(chunk):
            continue
        values, number = chunk.select(sums).to_numpy(), clusters.number(chunk)
        row = clusters.row(number)
        here = np.unique(row)
        total[here] += cluster_sums(values, row)
        some[here] = True
        seen.append(_positive(number, np.packbits(values > 0, axis=1)))
    if not some.any():
        return ClusterSums(total[:0], 0, np.zeros(len(sums), np.int64))
    ids, bits = _positive(*(np.concatenate(column) for column in zip(*seen, strict=True)))
    return ClusterSums(total[some], len(ids), np.unpackbits(bits, axis=1, count=len(sums)).sum(axis=0, dtype=np.int64))


def _positive(number: NDArray[np.uint64], bits: NDArray[np.uint8]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    """Each cluster once, with a bit for each column that is positive in one of its groups."""
    order = np.argsort(number, kind="stable")
    number = number[order]
    opens = np.flatnonzero(np.append(True, number[1:] != number[:-1]))
    return number[opens], np.bitwise_or.reduceat(bits[order], opens, axis=0)
