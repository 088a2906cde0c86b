"""Every statistic as a function of sums over groups, so that one bootstrap serves all (definitions: Intervals)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.interval import (
    BLOCKS,
    ENDS,
    FEW_CLUSTERS,
    Drawn,
    Interval,
    block_of,
    cluster_sums,
    other_draws,
    resampled_sums,
    wilson,
)
from .clusters import ids_of
from .statistics import OF_GROUPS, STATISTICS

NOTHING = "nothing"  # no column of this name
DRAWN = (*ENDS, *(share for end in ENDS for share in other_draws(end)))  # and between what other seeds put them


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """How statistics are made of sums: each distinct sum is one column, which the statistics that need it share.

    Attributes:
        names: Which of `STATISTICS`.
        sums: What a group adds to each column.
        top, bottom, second: Column of the numerator and of the first and second denominator of each statistic, the
            first again where there is one, shape (names,) each.
    """

    names: tuple[str, ...]
    sums: tuple[pl.Expr, ...]
    top: Ints
    bottom: Ints
    second: Ints

    def statistics(self, sums: Floats) -> Floats:
        """From column sums, shape (..., columns), to statistics, shape (..., names); NaN for 0/0."""
        return ratios_of_sums(self.names, sums[..., self.top], sums[..., self.bottom], sums[..., self.second])

    def drawn(self, mean: Floats, resampled: Floats, clusters: Ints) -> dict[str, Drawn]:
        """Every statistic with its 95 % range.

        Args:
            mean: The statistics of some groups, one or more, shape (names,).
            resampled: Of each resample of their clusters, shape (resamples, names).
            clusters: How many clusters have the statistic, shape (names,).

        Returns:
            Name to interval; `non_trivial` is Wilson over clusters, the others are percentiles over them.
        """
        ends = percentiles(resampled, DRAWN)
        _, low, high = (values[0] for values in self.ranges(mean[None], ends[:2, None], clusters[None]))
        return {
            name: drawn_of(*values) for name, *values in zip(self.names, mean, low, high, clusters, ends.T, strict=True)
        }

    def ranges(self, mean: Floats, ends: Floats, clusters: Ints) -> tuple[Floats, Floats, Floats]:
        """Every statistic of some sets of groups (training steps, say) with its 95 % range, NaN for none.

        Args:
            mean: The statistics, shape (sets, names).
            ends: 2.5 and 97.5 percentiles over resamples, shape (2, sets, names).
            clusters: How many clusters have the statistic, shape (sets, names).

        Returns:
            Mean, low and high, shape (sets, names) each.
        """
        low, high = np.where(clusters >= FEW_CLUSTERS, self._with_width(ends, mean, clusters), np.nan)
        if "non_trivial" in self.names:
            # A share of groups has an exact-enough interval of its own, also where all trees are non-trivial. Groups of
            # one problem are alike, so it is as wide as if each problem had one (measured: docs/coverage.md).
            place = self.names.index("non_trivial")
            some = clusters[:, place] > 0
            number = clusters[some, place]
            low[some, place], high[some, place] = wilson(mean[some, place] * number, number)
        return mean, low, high

    def _with_width(self, ends: Floats, mean: Floats, clusters: Ints) -> Floats:
        """`widened` where the statistic is a share."""
        share = np.array([STATISTICS[name].share for name in self.names])
        return np.where(share, widened(ends, mean, clusters), ends)


def widened(ends: Floats, mean: Floats, clusters: Ints) -> Floats:
    """Widen the range of a share that is 0 or 1 in every cluster, of which every resample says the same.

    The end is the share that n clusters in a row would still show so in 2.5 % of cases (definitions: Intervals).

    Args:
        ends: Low and high ends, shape (2, ...).
        mean: The shares, shape (...).
        clusters: How many clusters have each, shape (...).
    """
    end = 0.025 ** (1 / np.maximum(clusters, 1))
    # A mean of terms in [0, 1] is 0 or 1 only if all of them are.
    return np.stack([np.where(mean == 1, end, ends[0]), np.where(mean == 0, 1 - end, ends[1])])


def drawn_of(mean: float, low: float, high: float, clusters: int, drawn: Floats) -> Drawn:
    """One statistic with its range and where other seeds may put its ends, NaN for what is not known.

    Args:
        mean: What `Matrix.ranges` gives of it.
        low: The same of its low end.
        high: And of its high end.
        clusters: How many clusters have it.
        drawn: Its `percentiles` at `DRAWN`: an end that is none of the first two (a Wilson interval, say) has no draws.
    """
    low_draws, high_draws = (
        (float(begin), float(end)) if np.isfinite(at) and at == drawn[place] else None
        for place, (at, begin, end) in enumerate(((low, *drawn[2:4]), (high, *drawn[4:])))
    )
    return Drawn(Interval(_number(mean), _number(low), _number(high), int(clusters)), low_draws, high_draws)


def matrix(names: Sequence[str], nulls: Mapping[str, int], rows: int) -> Matrix:
    """The sums behind statistics.

    Args:
        names: Which of `STATISTICS`.
        nulls: How many rows of the table have no numerator, by its column.
        rows: How many rows it has.
    """
    columns: dict[str, int] = {}
    sums: list[pl.Expr] = []
    places = []
    for name in names:
        top, *bottoms = columns_of(name)
        null = nulls[top] > 0
        keys = (top, *(f"{bottom} where {top}" if null else bottom for bottom in bottoms))
        if nulls[top] == rows:  # a log without log-probabilities has many sums that are 0
            keys = (NOTHING,) * len(keys)
        exprs = (_filled(top), *(_where(top, bottom) if null else _filled(bottom) for bottom in bottoms))
        for key, expr in zip(keys, exprs, strict=True):
            if key not in columns:
                columns[key] = len(columns)
                sums.append(expr.alias(str(columns[key])))
        # Numerator, first and second denominator, which is the first again where there is one.
        places.append([columns[key] for key in (*keys, keys[-1])[:3]])
    return Matrix(tuple(names), tuple(sums), *np.array(places, np.int64).reshape(-1, 3).T)


class Sums:
    """Some groups as a matrix of sums; any subset of its rows gives every statistic of that subset.

    Args:
        groups: The groups table, or any table with the columns of the statistics asked for.
        clusters: Columns that name the cluster of a group.
        names: Which of `STATISTICS`.
    """

    def __init__(self, groups: pl.DataFrame, clusters: Sequence[str], names: Sequence[str] = OF_GROUPS) -> None:
        nulls = {top: groups[top].null_count() for top in (columns_of(name)[0] for name in names)}
        self.names, self._matrix = tuple(names), matrix(names, nulls, len(groups))
        self._values = groups.select(self._matrix.sums).to_numpy()
        # Ranks by name, not by order of coming: two logs of the same prompts then draw the same ones.
        self._cluster = groups.select(pl.struct(clusters).rank("dense")).to_series().to_numpy()
        self._groups, self._clusters = groups, clusters

    def intervals(self, seed: int, rows: Ints | slice = slice(None), most: int = BLOCKS) -> dict[str, Interval]:
        """The intervals of `drawn`."""
        return {name: one.interval for name, one in self.drawn(seed, rows, most).items()}

    def drawn(self, seed: int, rows: Ints | slice = slice(None), most: int = BLOCKS) -> dict[str, Drawn]:
        """Every statistic of some groups with its 95 % range.

        Args:
            seed: Of the resamples.
            rows: Which groups.
            most: As for `resamples`.

        Returns:
            As `Matrix.drawn`.
        """
        return self._matrix.drawn(*self.resamples(seed, rows, most))

    def resamples(self, seed: int, rows: Ints | slice = slice(None), most: int = BLOCKS) -> tuple[Floats, Floats, Ints]:
        """Every statistic of some groups, and of resamples of their clusters.

        Two logs with as many clusters and one seed draw the same ones: a paired bootstrap, their clusters sorted alike.

        Args:
            seed: Of the resamples.
            rows: Which groups.
            most: Clusters that are resampled one by one, a power of two; more are put into so many blocks.

        Returns:
            Statistics, shape (names,); those of each resample, shape (resamples, names), no resamples of fewer than
            `FEW_CLUSTERS`; clusters that have the statistic, shape (names,). NaN for 0/0.
        """
        # Groups of a cluster are added first: a resample is then a product over clusters, not over groups.
        sums = cluster_sums(self._values[rows], self._cluster[rows])
        mean, counts = self._matrix.statistics(sums.sum(axis=0)), (sums[:, self._matrix.bottom] > 0).sum(axis=0)
        few = len(sums) < FEW_CLUSTERS
        if len(sums) > most:
            sums = cluster_sums(sums, self._blocks(rows, most))
        return (
            mean,
            np.empty((0, len(self.names))) if few else self._matrix.statistics(resampled_sums(sums, seed)),
            counts,
        )

    def _blocks(self, rows: Ints | slice, most: int) -> Ints:
        """Block of each cluster of some groups, in the order of the clusters."""
        at = np.arange(len(self._cluster))[rows]
        _, first = np.unique(self._cluster[at], return_index=True)
        return block_of(ids_of(self._groups[at[first]], self._clusters), most)


def sums_of(columns: Mapping[str, np.ndarray], names: Sequence[str]) -> Floats:
    """The sums over some groups of which their statistics are ratios; those of other groups may be added to them.

    Args:
        columns: The columns of the groups table that the statistics need, NaN for null, shape (groups,) each.
        names: Which of `STATISTICS`.

    Returns:
        Numerator, first and second denominator, the first again where there is one, shape (names, 3), float64.
    """
    sums = []
    for name in names:
        top, *bottoms = columns_of(name)
        values = np.asarray(columns[top], np.float64)
        # As in `Sums`: a group without the numerator has no part in the denominator either.
        has = ~np.isnan(values)
        below = [has.sum() if bottom == "groups" else np.asarray(columns[bottom])[has].sum() for bottom in bottoms]
        sums.append((values[has].sum(), below[0], below[-1]))
    return np.array(sums, np.float64).reshape(-1, 3)


def estimates(sums: Floats, names: Sequence[str]) -> dict[str, float | None]:
    """The statistics of some groups without intervals, by name; None for 0/0.

    Args:
        sums: `sums_of` these groups, shape (names, 3).
        names: Which of `STATISTICS`.
    """
    values = ratios_of_sums(names, *np.asarray(sums, np.float64).T)
    return {name: _number(value) for name, value in zip(names, values, strict=True)}


def columns_of(name: str) -> tuple[str, ...]:
    """Columns of a statistic: its numerator and its one or two denominators."""
    one = STATISTICS[name]
    return (one.numerator, one.denominator) if isinstance(one.denominator, str) else (one.numerator, *one.denominator)


def _filled(column: str) -> pl.Expr:
    return pl.lit(1.0) if column == "groups" else pl.col(column).cast(pl.Float64).fill_null(0.0)


def _where(top: str, bottom: str) -> pl.Expr:
    """The denominator where the numerator is known: a group without the one must not weigh in the other."""
    return pl.when(pl.col(top).is_not_null()).then(_filled(bottom)).otherwise(0.0)


def ratios_of_sums(names: Sequence[str], tops: Floats, bottoms: Floats, seconds: Floats) -> Floats:
    """Statistics from their sums.

    Args:
        names: Which of `STATISTICS`.
        tops: Numerators, shape (..., names).
        bottoms: Denominators, shape (..., names).
        seconds: Second denominators, the first again where there is one, shape (..., names).

    Returns:
        Shape (..., names), NaN for 0/0.
    """
    # Most statistics are plain ratios, so only the columns of the others are touched again.
    double = [place for place, name in enumerate(names) if not isinstance(STATISTICS[name].denominator, str)]
    roots = [place for place, name in enumerate(names) if STATISTICS[name].root]
    if double:
        bottoms = bottoms.copy()
        # The product of two sums of squares may be infinite where neither is.
        bottoms[..., double] = np.sqrt(bottoms[..., double]) * np.sqrt(seconds[..., double])
    ratios = _divide(tops, bottoms)
    if roots:
        ratios[..., roots] = np.sqrt(ratios[..., roots])
    return ratios


def percentiles(resampled: Floats, shares: Sequence[float] = ENDS) -> Floats:
    """Quantiles of each column over the resamples that have the statistic, shape (shares, columns)."""
    if not len(resampled):
        return np.full((len(shares), resampled.shape[1]), np.nan)
    # To the last bit what `np.percentile` gives of a column, in a third of its time: sorting is faster than selecting.
    ordered = np.sort(resampled.T, axis=1)  # NaN come last
    last = np.maximum((~np.isnan(ordered)).sum(axis=1) - 1, 0)
    at = np.outer(shares, last)
    below = at.astype(np.int64)
    column, share = np.arange(len(ordered)), at - below
    low, high = ordered[column, below], ordered[column, np.minimum(below + 1, last)]
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
