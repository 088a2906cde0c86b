"""Every figure of a log as a function of sums over its groups, so that one bootstrap serves them all (SPEC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from .defects import POWERS
from .forest import Floats
from .interval import FEW_CLUSTERS, Interval, cluster_sums, percentile_interval, resampled_sums, wilson

# Figure to (numerator, denominator): columns of the groups table, `groups` being 1. The figure is the ratio of their
# sums; a group whose numerator is null has no say in it.
RATIOS = {
    "path_depth": ("path_depth", "groups"),
    "intermediate_proportion": ("intermediate_proportion", "groups"),
    "shared_proportion": ("shared_proportion", "groups"),
    "non_trivial": ("non_trivial", "groups"),
    "identical_share": ("identical_tokens", "intermediate_tokens"),
    "informativeness": ("informative_sum", "informative_tokens"),
    "mean_step_size": ("step_size", "process_steps"),
    "certain_share": ("certain_tokens", "intermediate_tokens"),
    "contest": ("contest_sum", "contest_tokens"),
    "suppressed_good": ("suppressed_good_tokens", "good_tokens"),
    "boosted_bad": ("boosted_bad_tokens", "bad_tokens"),
    "amplification": ("abs_tokens", "abs_unique"),
    "reward": ("reward_mean", "groups"),
    "zero_variance": ("zero_variance", "groups"),
} | {f"update_scale_{p:g}": (f"scale_{p:g}", "tokens") for p in POWERS}
OVERLAP = ("path_depth", "intermediate_proportion", "shared_proportion", "non_trivial")  # the baseline has these too
CLUSTER = ("run", "prompt_key")  # groups of one prompt are resampled together
UPDATES = ["norm_0", *(f"{name}_{p:g}" for p in POWERS for name in ("norm", "dot"))]


def intervals(
    groups: pl.DataFrame, clusters: Sequence[str], seed: int, names: Sequence[str] = tuple(RATIOS)
) -> dict[str, Interval]:
    """Ratios of sums over groups, each with its 95 % range.

    Args:
        groups: The groups table, or any table with the columns of the ratios asked for.
        clusters: Columns that name the cluster of a group; groups of one cluster are resampled together.
        seed: Of the resamples.
        names: Which of `RATIOS`.

    Returns:
        Figure to interval: `non_trivial` is Wilson over groups, the others are percentiles over clusters.
    """
    parts = []
    for top, bottom in (RATIOS[name] for name in names):
        weight = pl.lit(1.0) if bottom == "groups" else pl.col(bottom).cast(pl.Float64)
        parts.append(pl.col(top).cast(pl.Float64).fill_null(0.0).alias(f"{top}/{len(parts)}"))
        parts.append(pl.when(pl.col(top).is_not_null()).then(weight).otherwise(0.0).alias(f"{bottom}/{len(parts)}"))
    sums, resampled = _sums(groups, parts, clusters, seed)
    found = {}
    for name, at in zip(names, range(0, 2 * len(names), 2), strict=True):
        some = int((sums[:, at + 1] > 0).sum())
        found[name] = percentile_interval(lambda x, at=at: _divide(x[..., at], x[..., at + 1]), sums, resampled, some)
    if "non_trivial" in found and len(groups):
        low, high = wilson(float(groups["non_trivial"].sum()), float(len(groups)))
        found["non_trivial"] = Interval(found["non_trivial"].mean, float(low), float(high), len(groups))
    return found


def update_intervals(groups: pl.DataFrame, clusters: Sequence[str], seed: int) -> dict[str, Interval]:
    """`update_norm_P` and `update_cosine_P`: what λ-GRPO would change in this run (SPEC: update norm, update cosine).

    ρ(p) is the ratio of the norms of the coefficient vectors under p and under GRPO, c(p) their cosine.
    """
    sums, resampled = _sums(groups, [pl.col(name) for name in UPDATES], clusters, seed)
    some = int((sums[:, 0] > 0).sum())
    found = {}
    for p in POWERS:
        norm, dot = UPDATES.index(f"norm_{p:g}"), UPDATES.index(f"dot_{p:g}")
        figures = {
            f"update_norm_{p:g}": lambda x, norm=norm: np.sqrt(_divide(x[..., norm], x[..., 0])),
            f"update_cosine_{p:g}": lambda x, norm=norm, dot=dot: _divide(
                x[..., dot], np.sqrt(x[..., 0] * x[..., norm])
            ),
        }
        found |= {name: percentile_interval(figure, sums, resampled, some) for name, figure in figures.items()}
    return found


def _sums(
    groups: pl.DataFrame, columns: list[pl.Expr], clusters: Sequence[str], seed: int
) -> tuple[Floats, Floats | None]:
    sums = cluster_sums(
        groups.select(columns).to_numpy(), groups.select(pl.struct(clusters).rank("dense")).to_series().to_numpy()
    )
    return sums, resampled_sums(sums, seed) if len(sums) >= FEW_CLUSTERS else None


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)
