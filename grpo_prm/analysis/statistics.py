"""Every figure of a log as a function of sums over its groups, so that one bootstrap serves them all (SPEC)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import polars as pl

from ..core.defects import POWERS
from ..core.forest import Floats, Ints
from ..core.interval import FEW_CLUSTERS, Interval, cluster_sums, resampled_sums, wilson

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
UPDATES = tuple(f"update_{name}_{p:g}" for p in POWERS for name in ("norm", "cosine"))
_UPDATE_COLUMNS = ("norm_0", *(f"{name}_{p:g}" for p in POWERS for name in ("norm", "dot")))
CLUSTER = ("run", "prompt_key")  # groups of one prompt are resampled together


class Sums:
    """The groups of a log as a matrix of sums, of which any part gives its figures.

    Args:
        groups: The groups table, or any table with the columns of the ratios asked for.
        clusters: Columns that name the cluster of a group.
        ratios: Which of `RATIOS`, or further ones like them.
        updates: `UPDATES` too: length and direction of the update under λ-GRPO (SPEC: update norm, update cosine).
    """

    def __init__(
        self,
        groups: pl.DataFrame,
        clusters: Sequence[str],
        ratios: Sequence[str] | Mapping[str, tuple[str, str]] = RATIOS,
        *,
        updates: bool = True,
    ) -> None:
        self.names = (*ratios, *(UPDATES if updates else ()))
        self._updates = updates
        tops, bottoms = [], []
        pairs = ratios if isinstance(ratios, Mapping) else {name: RATIOS[name] for name in ratios}
        for top, bottom in pairs.values():
            weight = pl.lit(1.0) if bottom == "groups" else pl.col(bottom).cast(pl.Float64)
            tops.append(pl.col(top).cast(pl.Float64).fill_null(0.0).alias(str(len(tops))))
            said = pl.when(pl.col(top).is_not_null()).then(weight).otherwise(0.0)
            bottoms.append(said.alias(f"/{len(bottoms)}"))
        columns = [*tops, *bottoms, *(pl.col(name) for name in _UPDATE_COLUMNS if updates)]
        self._values = groups.select(columns).to_numpy()
        self._ratios = len(tops)
        self._cluster = groups.select(pl.struct(clusters).rank("dense")).to_series().to_numpy()

    def intervals(self, seed: int, rows: Ints | slice = slice(None)) -> dict[str, Interval]:
        """Every figure of some groups with its 95 % range.

        Args:
            seed: Of the resamples.
            rows: Which groups.

        Returns:
            Figure to interval; `non_trivial` is Wilson over groups, the others are percentiles over clusters.
        """
        values = self._values[rows]
        mean, resampled, clusters = self.resamples(seed, rows)
        ranges = percentiles(resampled)
        found = {
            name: Interval(_number(m), _number(low), _number(high), int(n))
            if n >= FEW_CLUSTERS
            else Interval(_number(m), None, None, int(n))
            for name, m, low, high, n in zip(self.names, mean, *ranges, clusters, strict=True)
        }
        if "non_trivial" in found and len(values):
            at = self.names.index("non_trivial")
            low, high = wilson(values[:, at].sum(), len(values))
            found["non_trivial"] = Interval(_number(mean[at]), float(low), float(high), len(values))
        return found

    def resamples(self, seed: int, rows: Ints | slice = slice(None)) -> tuple[Floats, Floats, Ints]:
        """Every figure of some groups, and of resamples of their clusters.

        Two logs with as many clusters and one seed draw the same ones: a paired bootstrap, their clusters sorted alike.

        Args:
            seed: Of the resamples.
            rows: Which groups.

        Returns:
            Figures, shape (names,); figures of each resample, shape (resamples, names), no resamples of fewer than
            `FEW_CLUSTERS`; clusters that have the figure, shape (names,). NaN for 0/0.
        """
        sums = cluster_sums(self._values[rows], self._cluster[rows])
        few = len(sums) < FEW_CLUSTERS
        resampled = np.empty((0, len(self.names))) if few else self._figures(resampled_sums(sums, seed))
        return self._figures(sums.sum(axis=0)), resampled, (self._bottoms(sums) > 0).sum(axis=0)

    def _bottoms(self, sums: Floats) -> Floats:
        """What must be positive for each figure to exist."""
        bottoms = sums[..., self._ratios : 2 * self._ratios]
        if not self._updates:
            return bottoms
        return np.concatenate([bottoms, np.repeat(sums[..., [2 * self._ratios]], len(UPDATES), axis=-1)], axis=-1)

    def _figures(self, sums: Floats) -> Floats:
        """From column sums, shape (..., columns), to figures, shape (..., names); NaN for 0/0."""
        ratios = _divide(sums[..., : self._ratios], sums[..., self._ratios : 2 * self._ratios])
        if not self._updates:
            return ratios
        return np.concatenate([ratios, *_updates(sums[..., 2 * self._ratios :])], axis=-1)


def figures(columns: Mapping[str, np.ndarray], ratios: Sequence[str]) -> dict[str, float | None]:
    """The figures of some groups without intervals, and `UPDATES`.

    Args:
        columns: Columns of the groups table that the ratios need, NaN for null, shape (groups,) each.
        ratios: Which of `RATIOS`.

    Returns:
        Name to figure; None for 0/0.
    """
    found = {}
    for name in ratios:
        top, bottom = RATIOS[name]
        said = ~np.isnan(values := np.asarray(columns[top], np.float64))
        weight = said.sum() if bottom == "groups" else np.asarray(columns[bottom], np.float64)[said].sum()
        found[name] = _number(values[said].sum() / weight) if weight > 0 else None
    sums = np.array([columns[name].sum() for name in _UPDATE_COLUMNS])
    updates = zip(UPDATES, np.concatenate([*_updates(sums)]), strict=True)
    return found | {name: _number(value) for name, value in updates}


def _updates(sums: Floats) -> Iterator[Floats]:
    """`UPDATES`: ρ, the ratio of the norms of the coefficient vectors under p and under GRPO, and their cosine."""
    base = sums[..., [0]]
    for p in range(len(POWERS)):
        norm, dot = sums[..., [1 + 2 * p]], sums[..., [2 + 2 * p]]
        yield np.sqrt(_divide(norm, base))
        yield _divide(dot, np.sqrt(base * norm))


def percentiles(resampled: Floats) -> Floats:
    """2.5 and 97.5 percentiles of each column over the resamples that have the figure, shape (2, columns)."""
    found = np.full((2, resampled.shape[1]), np.nan)
    if not len(resampled):
        return found
    whole = ~np.isnan(resampled).any(axis=0)
    found[:, whole] = np.percentile(resampled[:, whole], [2.5, 97.5], axis=0)
    for column in np.flatnonzero(~whole):
        values = resampled[:, column]
        if len(values := values[~np.isnan(values)]):
            found[:, column] = np.percentile(values, [2.5, 97.5])
    return found


def _divide(top: Floats, bottom: Floats) -> Floats:
    """Quotient, NaN where the denominator is not positive."""
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=np.asarray(bottom) > 0)


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
