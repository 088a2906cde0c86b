"""Every statistic as a function of sums over groups, so that one bootstrap serves all (definitions: Intervals)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, Interval, cluster_sums, resampled_sums, wilson
from .statistics import OF_GROUPS, STATISTICS

PROBLEM = ("prompt_key", "problem")  # a problem: the prompt, and the log's own key where it tells prompts apart
CLUSTER = ("run", *PROBLEM)  # groups of one problem are resampled together (definitions: Intervals)
NOTHING = "nothing"  # no column of this name


class Sums:
    """The groups of a log as a matrix of sums; any subset of its rows gives every statistic of that subset.

    Args:
        groups: The groups table, or any table with the columns of the statistics asked for.
        clusters: Columns that name the cluster of a group.
        names: Which of `STATISTICS`.
    """

    def __init__(self, groups: pl.DataFrame, clusters: Sequence[str], names: Sequence[str] = OF_GROUPS) -> None:
        self.names = tuple(names)
        # Each distinct sum is one column of the matrix: statistics that share a denominator share its resamples.
        columns: dict[str, int] = {}
        sums: list[pl.Expr] = []
        places = []
        for name in names:
            top, *bottoms = columns_of(name)
            null = groups[top].null_count() > 0
            keys = (top, *(f"{bottom} where {top}" if null else bottom for bottom in bottoms))
            if groups[top].null_count() == len(groups):  # a log without log-probabilities has many sums that are 0
                keys = (NOTHING,) * len(keys)
            exprs = (_filled(top), *(_where(top, bottom) if null else _filled(bottom) for bottom in bottoms))
            for key, expr in zip(keys, exprs, strict=True):
                if key not in columns:
                    columns[key] = len(columns)
                    sums.append(expr.alias(str(columns[key])))
            # Numerator, first and second denominator, which is the first again where there is one.
            places.append([columns[key] for key in (*keys, keys[-1])[:3]])
        self._values = groups.select(sums).to_numpy()
        self._top, self._bottom, self._second = np.array(places, np.int64).reshape(-1, 3).T
        # Ranks by name, not by order of coming: two logs of the same prompts then draw the same ones.
        self._cluster = groups.select(pl.struct(clusters).rank("dense")).to_series().to_numpy()

    def intervals(self, seed: int, rows: Ints | slice = slice(None)) -> dict[str, Interval]:
        """Every statistic of some groups with its 95 % range.

        Args:
            seed: Of the resamples.
            rows: Which groups.

        Returns:
            Name to interval; `non_trivial` is Wilson over clusters, the others are percentiles over them.
        """
        values = self._values[rows]
        mean, resampled, clusters = self.resamples(seed, rows)
        ranges = self._with_width(percentiles(resampled), mean, clusters)
        intervals = {
            name: Interval(_number(m), _number(low), _number(high), int(n))
            if n >= FEW_CLUSTERS
            else Interval(_number(m), None, None, int(n))
            for name, m, low, high, n in zip(self.names, mean, *ranges, clusters, strict=True)
        }
        if "non_trivial" in intervals and len(values):
            # A share of groups has an exact-enough interval of its own, also where all trees are non-trivial. Groups of
            # one problem are alike, so it is as wide as if each problem had one (measured: docs/coverage.md).
            at = self.names.index("non_trivial")
            number = int(clusters[at])
            low, high = wilson(mean[at] * number, number)
            intervals["non_trivial"] = Interval(_number(mean[at]), float(low), float(high), number)
        return intervals

    def _with_width(self, ranges: Floats, mean: Floats, clusters: Ints) -> Floats:
        """Widen the range of a share that is 0 or 1 in every cluster, of which every resample says the same.

        The end is the share that n clusters in a row would still show so in 2.5 % of cases (definitions: Intervals).
        """
        share = np.array([STATISTICS[name].share for name in self.names])
        end = 0.025 ** (1 / np.maximum(clusters, 1))
        # A mean of terms in [0, 1] is 0 or 1 only if all of them are.
        ranges[1] = np.where(share & (mean == 0), 1 - end, ranges[1])
        ranges[0] = np.where(share & (mean == 1), end, ranges[0])
        return ranges

    def resamples(self, seed: int, rows: Ints | slice = slice(None)) -> tuple[Floats, Floats, Ints]:
        """Every statistic of some groups, and of resamples of their clusters.

        Two logs with as many clusters and one seed draw the same ones: a paired bootstrap, their clusters sorted alike.

        Args:
            seed: Of the resamples.
            rows: Which groups.

        Returns:
            Statistics, shape (names,); those of each resample, shape (resamples, names), no resamples of fewer than
            `FEW_CLUSTERS`; clusters that have the statistic, shape (names,). NaN for 0/0.
        """
        # Groups of a cluster are added first: a resample is then a product over clusters, not over groups.
        sums = cluster_sums(self._values[rows], self._cluster[rows])
        few = len(sums) < FEW_CLUSTERS
        resampled = np.empty((0, len(self.names))) if few else self._statistics(resampled_sums(sums, seed))
        return self._statistics(sums.sum(axis=0)), resampled, (sums[:, self._bottom] > 0).sum(axis=0)

    def _statistics(self, sums: Floats) -> Floats:
        """From column sums, shape (..., columns), to statistics, shape (..., names); NaN for 0/0."""
        return ratios_of_sums(self.names, sums[..., self._top], sums[..., self._bottom], sums[..., self._second])


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
        bottoms[..., double] = np.sqrt(bottoms[..., double]) * np.sqrt(seconds[..., double])
    ratios = _divide(tops, bottoms)
    if roots:
        ratios[..., roots] = np.sqrt(ratios[..., roots])
    return ratios


def percentiles(resampled: Floats) -> Floats:
    """2.5 and 97.5 percentiles of each column over the resamples that have the statistic, shape (2, columns)."""
    if not len(resampled):
        return np.full((2, resampled.shape[1]), np.nan)
    # To the last bit what `np.percentile` gives of a column, in a third of its time: sorting is faster than selecting.
    ordered = np.sort(resampled.T, axis=1)  # NaN come last
    last = np.maximum((~np.isnan(ordered)).sum(axis=1) - 1, 0)
    at = np.outer([0.025, 0.975], last)
    below = at.astype(np.int64)
    column, share = np.arange(len(ordered)), at - below
    low, high = ordered[column, below], ordered[column, np.minimum(below + 1, last)]
    return np.where(share < 0.5, low + (high - low) * share, high - (high - low) * (1 - share))


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
