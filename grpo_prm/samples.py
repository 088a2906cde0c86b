"""The groups whose text travels with an analysis: the worst, the best and some at random."""

from __future__ import annotations

import polars as pl

from .chance import group_seed

EACH = 10  # groups of each kind


class Samples:
    """Keeps the rollouts of `EACH` groups of each kind while a log goes by.

    `worst` have the most suppressed-good tokens, `best` the highest mean reward among groups of mixed reward, `random`
    the lowest seeds. A group may be of several kinds. Batching changes nothing: every choice is a lowest rank.

    Args:
        seed: Of the random choice.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._ranks = pl.DataFrame(schema={"kind": pl.String, "group": pl.Int64, "rank": pl.Float64})
        self._rows: list[pl.DataFrame] = []

    def add(self, table: pl.DataFrame, groups: pl.DataFrame) -> None:
        """Look at a slice: its rollouts, and its part of the groups table."""
        names = groups.select("run", "step", "group_key").iter_rows()
        seeds = pl.Series([group_seed(self._seed, "sample", *name) / 2**64 for name in names], dtype=pl.Float64)
        ranks = {
            "worst": groups.filter(pl.col("suppressed_good_tokens") > 0).select(
                "group", rank=-pl.col("suppressed_good_tokens")
            ),
            "best": groups.filter(~pl.col("zero_variance")).select("group", rank=-pl.col("reward_mean")),
            "random": groups.select("group", rank=seeds),
        }
        found = [
            frame.select(pl.lit(kind).alias("kind"), "group", pl.col("rank").cast(pl.Float64))
            for kind, frame in ranks.items()
        ]
        lowest = (
            pl.concat([self._ranks, *found])
            .drop_nulls()
            .sort("kind", "rank", "group")
            .group_by("kind", maintain_order=True)
        )
        self._ranks = lowest.head(EACH)
        kept = self._ranks["group"].unique()
        known = [rows["group"] for rows in self._rows]
        fresh = table.filter(pl.col("group").is_in(kept.implode())) if len(table) else table
        if known:
            fresh = fresh.filter(~pl.col("group").is_in(pl.concat(known).unique().implode()))
        self._rows = [pl.concat([*self._rows, fresh], how="diagonal").filter(pl.col("group").is_in(kept.implode()))]

    def table(self) -> pl.DataFrame:
        """Canonical rollouts of the groups kept, with `kind`, a list of worst, best, random."""
        kinds = self._ranks.group_by("group").agg(pl.col("kind").sort())
        return pl.concat(self._rows, how="diagonal").join(kinds, on="group").sort("group", "sample")
