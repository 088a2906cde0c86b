"""Ratios of sums over groups for many parts of a log at once, which share the resamples of its clusters (SPEC)."""

from __future__ import annotations

import numpy as np

from ..forest import Floats, Ints
from ..interval import FEW_CLUSTERS, Interval, cluster_sums, resampled_sums


def ratio_intervals(tops: Floats, bottoms: Floats, clusters: Ints, seed: int) -> list[Interval]:
    """Each ratio of sums with its 95 % range.

    Args:
        tops: Numerators, shape (groups, parts).
        bottoms: Denominators, 0 where a group has no say, shape (groups, parts).
        clusters: Dense cluster of each group, shape (groups,).
        seed: Of the resamples.

    Returns:
        One interval per part, percentiles over the resamples in which it exists; the number of clusters with a say in
        it is its `n`. Without ends where these are fewer than `FEW_CLUSTERS`.
    """
    parts = tops.shape[1]
    sums = cluster_sums(np.concatenate([tops, bottoms], axis=1), clusters)
    if not len(sums):
        return [Interval(None, None, None, 0)] * parts
    whole = sums.sum(axis=0)
    drawn = resampled_sums(sums, seed) if len(sums) >= FEW_CLUSTERS else np.zeros((0, 2 * parts))
    found = []
    for part in range(parts):
        n = int((sums[:, parts + part] > 0).sum())
        if not n:
            found.append(Interval(None, None, None, 0))
            continue
        mean = float(whole[part] / whole[parts + part])
        there = drawn[drawn[:, parts + part] > 0]
        if n < FEW_CLUSTERS:
            found.append(Interval(mean, None, None, n))
            continue
        low, high = np.percentile(there[:, part] / there[:, parts + part], [2.5, 97.5])
        found.append(Interval(mean, float(low), float(high), n))
    return found
