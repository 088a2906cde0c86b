"""Statistics with intervals of many training steps at once, whose clusters are resampled inside the step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, FEW_TO_KEEP, block_of, cluster_sums, resampled_sums
from .chunks import Parts
from .clusters import CLUSTER, find_clusters, ids_of
from .ratios import columns_of, matrix, percentiles
from .whole_log import add_by_cluster, matrix_of


class StepRanges(NamedTuple):
    """Statistics of steps, shape (steps, names) each: mean, ends of the 95 % range (NaN for none), clusters."""

    mean: Floats
    low: Floats
    high: Floats
    n: Ints


def of_steps(groups: pl.DataFrame, step: Ints, seed: int, names: Sequence[str]) -> StepRanges:
    """Statistics of some steps.

    Args:
        groups: The groups table of whole steps.
        step: Step of each group, dense from 0, ascending, shape (groups,).
        seed: Of the resamples.
        names: Which of `STATISTICS`.
    """
    made = matrix(names, {top: groups[top].null_count() for top in map(_top, names)}, len(groups))
    cluster = groups.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy()
    order = np.lexsort((cluster, step))
    opens = np.flatnonzero((np.diff(step[order], prepend=-1) != 0) | (np.diff(cluster[order], prepend=-1) != 0))
    sums = np.add.reduceat(groups.select(made.sums).to_numpy()[order], opens, axis=0)
    row = order[opens]  # a group of each row of sums
    begins = np.flatnonzero(np.diff(step[row], prepend=-1))
    sizes = np.diff(begins, append=len(row))
    totals = sums
    if len(begins) < len(row):
        totals = np.stack([part.sum(axis=0) for part in np.split(sums, begins[1:])])
    ends = np.full((2, len(begins), len(names)), np.nan)
    for place in np.flatnonzero(sizes >= FEW_CLUSTERS):
        mine = slice(begins[place], begins[place] + sizes[place])
        own = sums[mine]
        if len(own) > FEW_TO_KEEP:
            own = cluster_sums(own, block_of(ids_of(groups[row[mine]]), FEW_TO_KEEP))
        ends[:, place] = percentiles(made.statistics(resampled_sums(own, seed)))
    has = np.add.reduceat(sums[:, made.bottom] > 0, begins, axis=0, dtype=np.int64)
    return StepRanges(*made.ranges(made.statistics(totals), ends, has), has)


def of_open_step(groups: Parts, seed: int, names: Sequence[str]) -> StepRanges:
    """The same of one step that may be as long as a log."""
    made, clusters = matrix_of(groups, names), find_clusters(groups, most=FEW_TO_KEEP)
    found = add_by_cluster(groups, made.sums, clusters)
    few, has = found.clusters < FEW_CLUSTERS, found.positive[made.bottom][None]
    ends = np.full((2, len(names)), np.nan) if few else percentiles(made.statistics(resampled_sums(found.sums, seed)))
    return StepRanges(*made.ranges(made.statistics(found.sums.sum(axis=0))[None], ends[:, None], has), has)


def _top(name: str) -> str:
    return columns_of(name)[0]
