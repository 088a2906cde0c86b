"""Ratios of sums over groups for many parts of a log at once, which share the resamples of its clusters (SPEC)."""

from __future__ import annotations

import numpy as np

from ..analysis.ratios import percentiles
from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, Interval, cluster_sums, resampled_sums


def ratio_intervals(tops: Floats, bottoms: Floats, clusters: Ints, seed: int) -> list[Interval]:
    """Each ratio of sums with its 95 % range.

    Args:
        tops: Numerators, shape (groups, parts).
        bottoms: Denominators, 0 where a group has no say, shape (groups, parts).
        clusters: Dense cluster of each group, shape (groups,).
        seed: Of the resamples.

    Returns:
        One interval per part, percentiles over the resamples in which it exists; the number of clusters with a say in
        it is its `n`. Without ends where these are fewer than `FEW_CLUSTERS`, without a mean where there are none.
    """
    parts = tops.shape[1]
    sums = cluster_sums(np.concatenate([tops, bottoms], axis=1), clusters)
    drawn = resampled_sums(sums, seed) if len(sums) >= FEW_CLUSTERS else np.zeros((0, 2 * parts))
    ranges = percentiles(_divide(drawn[:, :parts], drawn[:, parts:]))
    means = _divide(sums[:, :parts].sum(axis=0), sums[:, parts:].sum(axis=0))
    counts = (sums[:, parts:] > 0).sum(axis=0)
    return [
        Interval(
            float(mean) if n else None, *((float(low), float(high)) if n >= FEW_CLUSTERS else (None, None)), int(n)
        )
        for mean, low, high, n in zip(means, *ranges, counts, strict=True)
    ]


def _divide(tops: Floats, bottoms: Floats) -> Floats:
    return np.divide(tops, bottoms, out=np.full(tops.shape, np.nan), where=bottoms > 0)
