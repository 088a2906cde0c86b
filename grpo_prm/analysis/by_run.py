"""The headline numbers of each run alone, of a log of several: what the answers of all together may hide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from .chunks import Parts, added_up
from .clusters import find_clusters
from .whole_log import log_intervals

MOST = 20  # runs; of more a table is no answer, and `compare` has a row for each
HEADLINES = ("reward", "shared_proportion", "reliability", "leave_pair_out_auc")


def by_run(groups: Parts, runs: Sequence[str], seed: int) -> list[dict[str, Any]]:
    """Size and headline statistics of each run, as an analysis of it alone has them.

    One run after the other is added up from the groups table, so memory is that of one run's sums over its problems
    (`whole_log.add_by_cluster`), however many runs and groups there are.

    Args:
        groups: The groups table.
        runs: Their names, in order.
        seed: Of the resamples.

    Returns:
        Empty for one run, and for more than `MOST`. Else `run`, `completions`, `groups`, and each of `HEADLINES` with
        `mean`, `low`, `high`, `n`, null where it is not known; no interval with fewer than 20 problems.
    """
    if not 1 < len(runs) <= MOST:
        return []
    return [_of_run(groups, run, seed) for run in runs]


def _of_run(groups: Parts, run: str, seed: int) -> dict[str, Any]:
    own = [part.filter(pl.col("run") == run) for part in groups]
    size = added_up(own, {"completions": pl.col("k").sum(), "groups": pl.col("k").len()})
    if not size["groups"]:  # all its completions are alone in their groups
        return {"run": run, **size, **dict.fromkeys(HEADLINES)}
    found = log_intervals(own, find_clusters(own), seed, HEADLINES)
    statistics = {name: None if one.mean is None else one._asdict() for name, one in found.items()}
    return {"run": run, **size, **statistics}
