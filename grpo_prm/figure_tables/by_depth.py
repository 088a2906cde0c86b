"""Where in the tree members disagree and rewards are sure: contest and certain share by depth."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import polars as pl

from ..analysis.ratios import CLUSTER
from ..core.interval import FEW_CLUSTERS, Interval
from .logs import Logs
from .ratios import ratio_intervals

STATISTICS = {"contest": ("contest_sum", "contest_tokens"), "certain_share": ("certain_tokens", "tokens")}
DEEPEST = 16  # depths with a row of their own; deeper ones are pooled, and so are those with few prompts at the end


def by_depth(logs: Logs) -> pl.DataFrame:
    """Contest and certain share of intermediate tokens by the depth of their step in the tree (0 is the root).

    As in the summary both count the tokens of every completion. Contest is a mean over tokens of groups whose rewards
    differ: 1 - |S⁺ + S⁻| / (S⁺ - S⁻) of their step (with masks that differ between members, of the step's mean sums).
    Certain share is over all intermediate tokens; it is left out where the summary has none. Depths beyond `DEEPEST`,
    and the last ones with fewer than 20 prompts, are one row.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (contest, certain_share), `depth`, `last` (deepest depth of a pooled row), `mean`, `low`,
        `high` (95 %, over prompts; null below 20 of them), `n` (prompts), `tokens`.
    """
    sums = _sums(logs)
    rows: list[tuple] = []
    for (run,), part in sums.group_by("run", maintain_order=True):
        for statistic, (top, bottom) in STATISTICS.items():
            some = part.filter(pl.col(top).is_not_null(), pl.col(bottom) > 0)
            rows += [(run, statistic, *row) for row in _depths(some, top, bottom, logs.seed)]
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    ints = {"depth": pl.Int64, "last": pl.Int64}
    names = {"run": pl.String, "statistic": pl.String, **ints, **floats, "n": pl.Int64, "tokens": pl.Int64}
    return pl.DataFrame(rows, names, orient="row")


def _sums(logs: Logs) -> pl.DataFrame:
    """Sums of each group and depth: tokens, contest_sum, contest_tokens, certain_tokens (null: cannot be)."""
    tokens, plus, minus = pl.col("tokens"), pl.col("s_plus"), pl.col("s_minus")
    contest = 1 - (plus + minus).abs() / (plus - minus)
    has = (plus - minus > 0) & ~pl.col("zero_variance")
    outside = (pl.col("low") > pl.col("reward_mean")) | (pl.col("high") < pl.col("reward_mean"))
    certain = outside & ~pl.col("zero_variance")
    groups = logs.groups.lazy().select(
        "run", "group", "prompt_key", "reward_mean", known=pl.col("certain_tokens").is_not_null()
    )
    return (
        logs.process_steps.filter(pl.col("size") > 1, pl.col("size") < pl.col("k"), tokens > 0)
        .join(groups, on=("run", "group"))
        .group_by("run", "group", "prompt_key", "depth")
        .agg(
            tokens=tokens.sum(),
            contest_sum=(contest * tokens).filter(has).sum(),
            contest_tokens=tokens.filter(has).sum(),
            certain_tokens=pl.when(pl.col("known").first()).then(tokens.filter(certain).sum()),
        )
        .sort("run", "group", "depth")
        .collect()
    )


class _Depth(NamedTuple):
    depth: int
    last: int
    mean: float | None
    low: float | None
    high: float | None
    n: int
    tokens: int


def _depths(sums: pl.DataFrame, top: str, bottom: str, seed: int) -> list[_Depth]:
    """The rows of one run and statistic; a group may have several rows of a depth."""
    if sums.is_empty():
        return []
    depth = sums["depth"].to_numpy()
    cluster = sums.select(pl.struct(CLUSTER).rank("dense")).to_series().to_numpy().astype(np.int64) - 1
    binned = np.minimum(depth, _pooled_from(depth, cluster))
    values, at = np.unique(binned, return_inverse=True)
    where = np.arange(len(sums)), at
    matrices = np.zeros((2, len(sums), len(values)))
    for matrix, column in zip(matrices, (top, bottom), strict=True):
        matrix[where] = sums[column].cast(pl.Float64).to_numpy()
    found: list[Interval] = ratio_intervals(*matrices, cluster, seed)
    tokens = np.bincount(at, sums[bottom].cast(pl.Float64).to_numpy()).astype(int)
    return [_Depth(int(value), int(depth[at == n].max()), *found[n], int(tokens[n])) for n, value in enumerate(values)]


def _pooled_from(depth: np.ndarray, cluster: np.ndarray) -> int:
    """Depth from which all are one row: the first of the tail in which every depth has few prompts, or `DEEPEST`."""
    pairs = np.unique(np.stack([depth, cluster]), axis=1)[0]
    enough = np.flatnonzero(np.bincount(pairs) >= FEW_CLUSTERS)
    return min(int(enough[-1]) + 1 if len(enough) else int(depth.max()), DEEPEST)
