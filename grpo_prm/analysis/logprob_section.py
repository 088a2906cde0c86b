"""The section `logprobs` of summary.json: what is no ratio of two sums, with intervals over the same clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.identity import HIGHEST, LOWEST
from ..core.interval import FEW_CLUSTERS, resampled_sums
from ..core.sampler_gap import GapSums, bin_name, effective_sample_size
from ..core.surprisal import SurprisalSums, covariances
from .chunks import Parts, added_up, largest
from .clusters import Clusters, find_clusters
from .whole_log import add_by_cluster

NO_LOGPROBS = "the log has no log-probabilities"
NO_SECOND = "the log has no second log-probabilities (trainer_logprobs) beside the sampler's"
WHY = {
    "covariance": "no token in the loss has a log-probability",
    "covariance_at_decisions": "no token in the loss that follows a decision has a log-probability",
    "covariance_share_at_decisions": "the covariance is 0",
}
Number = dict[str, float | int | None]


def logprob_section(
    groups: Parts | pl.DataFrame,
    sizes: pl.DataFrame,
    seed: int,
    notes: dict[str, str],
    clusters: Clusters | None = None,
) -> dict[str, Any]:
    """Covariances, effective sample size and gaps.

    Args:
        groups: The groups table.
        sizes: `GapSums` by bin of process-set sizes, any number of rows for a bin.
        seed: Of the resamples.
        notes: Gets the reason of what is null.
        clusters: `find_clusters` of the groups; None: found here.
    """
    clusters = clusters or find_clusters(groups)
    return {
        **_covariances(groups, clusters, seed, notes),
        **_sampler_and_trainer(groups, clusters, sizes, seed, notes),
    }


def _covariances(groups: Parts | pl.DataFrame, clusters: Clusters, seed: int, notes: dict[str, str]) -> dict[str, Any]:
    def statistic(sums: Floats) -> Floats:
        return np.stack(covariances(SurprisalSums(*np.moveaxis(sums, -1, 0))))

    known = _known(groups, "logprob_tokens", "left_out")
    where = pl.col("logprob_tokens").is_not_null()
    values = intervals(groups, clusters, SurprisalSums._fields, statistic, seed, where)
    found = dict(zip(WHY, values, strict=True))
    missing = {name for name, value in found.items() if value is None}
    notes.update({name: WHY[name] if known.groups else NO_LOGPROBS for name in sorted(missing)})
    if known.left_out:
        notes["left_out"] = _of_sentinels(known.left_out, known.tokens, "a log-probability that is none")
    return found | {"left_out": known.left_out}


def _sampler_and_trainer(
    groups: Parts | pl.DataFrame, clusters: Clusters, sizes: pl.DataFrame, seed: int, notes: dict[str, str]
) -> dict[str, Any]:
    def statistic(sums: Floats) -> Floats:
        return effective_sample_size(*np.moveaxis(sums[..., :3], -1, 0))[None]

    known = _known(groups, "gap_tokens", "gap_left_out")
    where = pl.col("gap_tokens").is_not_null()
    (size,) = intervals(groups, clusters, GapSums._fields, statistic, seed, where)
    if size is None:
        notes["effective_sample_size"] = notes["largest_gap"] = (
            "no token in the loss has both log-probabilities" if known.groups else NO_SECOND
        )
    if known.left_out:
        which = "a log-probability of sampler or trainer that is none"
        notes["gap_left_out"] = _of_sentinels(known.left_out, known.tokens, which)
    return {
        "effective_sample_size": size,
        "largest_gap": None if size is None else largest(groups, "largest_gap"),
        "gap_left_out": known.left_out,
        "by_size": _by_size(sizes),
    }


class _Known(NamedTuple):
    """The groups that have a column, their loss tokens, and how many were left out: None without one to leave out."""

    groups: int
    tokens: int
    left_out: int | None


def _known(groups: Parts | pl.DataFrame, used: str, left_out: str) -> _Known:
    sums = {"groups": pl.col(used).len(), "used": pl.col(used).sum(), "out": pl.col(left_out).sum()}
    found = added_up(groups, sums, pl.col(used).is_not_null())
    out = int(found["out"])
    return _Known(found["groups"], int(found["used"]), out if out or found["used"] else None)


def _of_sentinels(out: int, used: int, which: str) -> str:
    """How many tokens take no part (definitions: sentinel)."""
    have, are = ("has", "is") if out == 1 else ("have", "are")
    rule = f"not finite, below {LOWEST:g} or above {HIGHEST:g}"
    return f"{out:,} of {out + used:,} tokens in the loss {have} {which} ({rule}) and {are} left out"


def _by_size(sizes: pl.DataFrame) -> list[dict[str, Any]]:
    """The same for each bin of process-set sizes, small ones first."""
    columns = ("gap_tokens", "weight_sum", "weight_squares")
    bins = sizes["bin"].to_numpy()
    # Added one by one in the order of the steps: polars adds in another order each time.
    sums = {name: np.bincount(bins, sizes[name].to_numpy()) for name in columns}
    largest = np.zeros(len(sums[columns[0]]))
    np.maximum.at(largest, bins, sizes["largest_gap"].to_numpy())
    table = pl.DataFrame(sums | {"largest_gap": largest}).with_row_index("bin").filter(pl.col("gap_tokens") > 0)
    return [
        {
            "size": bin_name(number),
            "tokens": int(tokens),
            "effective_sample_size": float(effective_sample_size(tokens, weight, squares)),
            "largest_gap": largest,
        }
        for number, tokens, weight, squares, largest in table.select("bin", *columns, "largest_gap").iter_rows()
    ]


def intervals(
    groups: Parts | pl.DataFrame,
    clusters: Clusters,
    columns: Sequence[str],
    statistic: Callable[[Floats], Floats],
    seed: int,
    where: pl.Expr,
) -> list[Number | None]:
    """Statistics of sums over groups with their 95 % ranges over clusters (definitions: Intervals).

    Args:
        groups: The groups table.
        clusters: Of all its groups.
        columns: What to add up.
        statistic: From sums, shape (..., columns), to statistics, shape (statistics, ...).
        seed: Of the resamples.
        where: Which groups have the columns.

    Returns:
        `{"mean", "low", "high", "n"}` of each statistic; None for 0/0.
    """
    found = add_by_cluster(groups, [pl.col(name).cast(pl.Float64) for name in columns], clusters, where)
    means = statistic(found.sums.sum(axis=0))
    many = found.clusters >= FEW_CLUSTERS
    resampled = statistic(resampled_sums(found.sums, seed)) if many else [None] * len(means)
    return [_number(float(mean), draws, found.clusters) for mean, draws in zip(means, resampled, strict=True)]


def _number(mean: float, draws: Floats | None, clusters: int) -> Number | None:
    if not np.isfinite(mean):
        return None
    low, high = None, None
    if draws is not None and len(kept := draws[~np.isnan(draws)]):
        low, high = np.percentile(kept, [2.5, 97.5]).tolist()
    return {"mean": mean, "low": low, "high": high, "n": clusters}
