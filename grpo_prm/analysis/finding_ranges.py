"""The 95 % ranges of what findings are judged by, of those that are no statistic (definitions: The verdict)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, Drawn, resampled_sums
from .chunks import Parts
from .clusters import Clusters, find_clusters
from .ratios import DRAWN, drawn_of, percentiles, widened
from .whole_log import ClusterSums, add_by_cluster

# By code or measure: columns of the groups table, whose sums are divided; `groups` is 1 for each group.
SHARES = {
    "unmasked_tool_output": ("tool_output", "k"),
    "teaches_nothing": ("zero_variance", "groups"),
    "copies": ("duplicates", "k"),
}
SPREAD = {"logprob_spread": ("logprob_spread", "logprob_shared")}
OVERLAP, STEP = "intermediate_proportion", ("run", "step")


def finding_ranges(groups: Parts, baseline: pl.DataFrame, clusters: Clusters, seed: int) -> dict[str, Drawn]:
    """Ranges of `SHARES`, of the spread of log-probabilities and of boilerplate, by code or by what was measured.

    Args:
        groups: The groups table.
        baseline: The pseudo-groups.
        clusters: `find_clusters` of the groups.
        seed: Of the resamples.

    Returns:
        Empty where there are fewer than `FEW_CLUSTERS` clusters.
    """
    if clusters.rows < FEW_CLUSTERS:
        return {}
    every = SHARES | SPREAD
    tops, bottoms = zip(*every.values(), strict=True)
    found = add_by_cluster(groups, [_column(name, n) for n, name in enumerate((*tops, *bottoms))], clusters)
    share, below = np.array([name in SHARES for name in every]), len(tops)

    def statistic(sums: Floats) -> Floats:
        return _ratios(sums[..., :below], sums[..., below:])

    ranges = dict(zip(every, _intervals(found, statistic, found.positive[below:], share, seed), strict=True))
    # Of few steps there is none: no query for it.
    several = len(baseline) >= FEW_CLUSTERS and baseline.select(STEP).n_unique() >= FEW_CLUSTERS
    return ranges | ({"boilerplate": _boilerplate(groups, baseline, seed)} if several else {})


def _boilerplate(groups: Parts, baseline: pl.DataFrame, seed: int) -> Drawn:
    """Overlap between prompts as a share of that within, over resampled training steps, which hold both.

    (The pseudo-groups of a step share prompts, so steps are the clusters of the baseline alone, too.)
    """
    overlap = pl.col(OVERLAP).cast(pl.Float64)
    nothing = pl.lit(None, pl.Float64)
    parts = [
        *(part.select(*STEP, within=overlap, between=nothing) for part in groups),
        baseline.select(*STEP, within=nothing, between=overlap),
    ]
    values = [pl.col(name).fill_null(0.0) for name in ("within", "between")]
    known = [pl.col(name).is_not_null().cast(pl.Float64).alias(f"{name} known") for name in ("within", "between")]
    found = add_by_cluster(parts, [*values, *known], find_clusters(parts, STEP))

    def statistic(sums: Floats) -> Floats:
        within, between, groups, pseudo_groups = np.moveaxis(sums, -1, 0)
        return _ratios(between * groups, within * pseudo_groups)[..., None]

    (one,) = _intervals(found, statistic, found.positive[2:].min(keepdims=True), np.array([False]), seed)
    return one


def _column(name: str, place: int) -> pl.Expr:
    column = pl.lit(1.0) if name == "groups" else pl.col(name).cast(pl.Float64).fill_null(0.0)
    return column.alias(str(place))


def _ratios(tops: Floats, bottoms: Floats) -> Floats:
    return np.divide(tops, bottoms, out=np.full(np.shape(tops), np.nan), where=bottoms > 0)


def _intervals(
    found: ClusterSums, statistic: Callable[[Floats], Floats], clusters: Ints, share: np.ndarray, seed: int
) -> list[Drawn]:
    """Statistics with their 95 % ranges.

    Args:
        found: Sums over the clusters.
        statistic: From sums, shape (..., columns), to statistics, shape (..., statistics), NaN for 0/0.
        clusters: How many clusters have each, shape (statistics,).
        share: Which of them are shares, shape (statistics,).
        seed: Of the resamples.
    """
    mean = statistic(found.sums.sum(axis=0))
    few = found.clusters < FEW_CLUSTERS
    drawn = percentiles(np.empty((0, len(mean))) if few else statistic(resampled_sums(found.sums, seed)), DRAWN)
    ends = np.where(share, widened(drawn[:2], mean, clusters), drawn[:2])
    low, high = np.where(clusters < FEW_CLUSTERS, np.nan, ends)
    return [drawn_of(*values) for values in zip(mean, low, high, clusters, drawn.T, strict=True)]
