"""The section `logprobs` of summary.json: what is no ratio of two sums, with intervals over the same clusters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from ..core.forest import Floats
from ..core.identity import HIGHEST, LOWEST
from ..core.interval import FEW_CLUSTERS, cluster_sums, resampled_sums
from ..core.sampler_gap import GapSums, bin_name, effective_sample_size
from ..core.surprisal import SurprisalSums, covariances
from .ratios import CLUSTER

NO_LOGPROBS = "the log has no log-probabilities"
NO_SECOND = "the log has no second log-probabilities (trainer_logprobs) beside the sampler's"
WHY = {
    "covariance": "no token in the loss has a log-probability",
    "covariance_at_decisions": "no token in the loss that follows a decision has a log-probability",
    "covariance_share_at_decisions": "the covariance is 0",
}
Number = dict[str, float | int | None]


def logprob_section(groups: pl.DataFrame, sizes: pl.DataFrame, seed: int, notes: dict[str, str]) -> dict[str, Any]:
    """Covariances, effective sample size and gaps.

    Args:
        groups: The groups table.
        sizes: `GapSums` by bin of process-set sizes, any number of rows for a bin.
        seed: Of the resamples.
        notes: Gets the reason of what is null.
    """
    return {**_covariances(groups, seed, notes), **_sampler_and_trainer(groups, sizes, seed, notes)}


def _covariances(groups: pl.DataFrame, seed: int, notes: dict[str, str]) -> dict[str, Any]:
    known = groups.filter(pl.col("logprob_tokens").is_not_null())

    def statistic(sums: Floats) -> Floats:
        return np.stack(covariances(SurprisalSums(*np.moveaxis(sums, -1, 0))))

    values = intervals(known, SurprisalSums._fields, statistic, seed)
    found = dict(zip(WHY, values, strict=True))
    missing = {name for name, value in found.items() if value is None}
    notes.update({name: WHY[name] if len(known) else NO_LOGPROBS for name in sorted(missing)})
    out = _left_out(known, "logprob_tokens", "left_out")
    if out:
        notes["left_out"] = _of_sentinels(out, int(known["logprob_tokens"].sum()), "a log-probability that is none")
    return found | {"left_out": out}


def _sampler_and_trainer(groups: pl.DataFrame, sizes: pl.DataFrame, seed: int, notes: dict[str, str]) -> dict[str, Any]:
    known = groups.filter(pl.col("gap_tokens").is_not_null())

    def statistic(sums: Floats) -> Floats:
        return effective_sample_size(*np.moveaxis(sums[..., :3], -1, 0))[None]

    (size,) = intervals(known, GapSums._fields, statistic, seed)
    if size is None:
        notes["effective_sample_size"] = notes["largest_gap"] = (
            "no token in the loss has both log-probabilities" if len(known) else NO_SECOND
        )
    out = _left_out(known, "gap_tokens", "gap_left_out")
    if out:
        which = "a log-probability of sampler or trainer that is none"
        notes["gap_left_out"] = _of_sentinels(out, int(known["gap_tokens"].sum()), which)
    return {
        "effective_sample_size": size,
        "largest_gap": None if size is None else known["largest_gap"].max(),
        "gap_left_out": out,
        "by_size": _by_size(sizes),
    }


def _left_out(known: pl.DataFrame, used: str, left_out: str) -> int | None:
    """How many loss tokens were left out, None where there was none to leave out."""
    out = int(known[left_out].sum())
    return out if out or known[used].sum() else None


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
    groups: pl.DataFrame, columns: Sequence[str], statistic: Callable[[Floats], Floats], seed: int
) -> list[Number | None]:
    """Statistics of sums over groups with their 95 % ranges over clusters (definitions: Intervals).

    Args:
        groups: Groups that have the columns.
        columns: What to add up.
        statistic: From sums, shape (..., columns), to statistics, shape (statistics, ...).
        seed: Of the resamples.

    Returns:
        `{"mean", "low", "high", "n"}` of each statistic; None for 0/0.
    """
    cluster = groups.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy()
    sums = cluster_sums(groups.select(pl.col(columns).cast(pl.Float64)).to_numpy(), cluster)
    means = statistic(sums.sum(axis=0))
    resampled = statistic(resampled_sums(sums, seed)) if len(sums) >= FEW_CLUSTERS else [None] * len(means)
    return [_number(float(mean), draws, len(sums)) for mean, draws in zip(means, resampled, strict=True)]


def _number(mean: float, draws: Floats | None, clusters: int) -> Number | None:
    if not np.isfinite(mean):
        return None
    low, high = None, None
    if draws is not None and len(kept := draws[~np.isnan(draws)]):
        low, high = np.percentile(kept, [2.5, 97.5]).tolist()
    return {"mean": mean, "low": low, "high": high, "n": clusters}
