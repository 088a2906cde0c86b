"""Step advantage by where a step begins: quantiles in bins of positions."""

from __future__ import annotations

import polars as pl

from .logs import Frame

BINS, BIN = 16, 25  # most bins over positions, and fewest steps in one; fewer than two bins' worth are drawn one by one
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


def by_position(process_steps: Frame) -> pl.DataFrame:
    """Quantiles of the step advantage A(λ) by where a step begins: `run, first, last, steps, groups, q05 ... q95`.

    Intermediate steps with a loss token, each once, in groups whose rewards differ. `first` and `last` are the least
    and greatest position (from 1) of the steps in a bin; bins hold about equally many steps, those of one position
    stay together. `groups` is how many groups these steps are of. Of fewer than `2 * BIN` steps in a run each is a row
    of its own.
    """
    steps = (
        process_steps.lazy()
        .filter(pl.col("size") > 1, pl.col("size") < pl.col("k"), pl.col("tokens") > 0, ~pl.col("zero_variance"))
        .select("run", "group", position=pl.col("start") + 1, advantage=pl.col("advantage"))
        .filter(pl.col("advantage").is_not_null() & pl.col("advantage").is_not_nan())
        .sort("run", "position", "advantage")
    )
    ranked = steps.with_columns(total=pl.len().over("run"), rank=pl.int_range(pl.len()).over("run"))
    bins = pl.min_horizontal(pl.lit(BINS), pl.col("total") // BIN)
    middle = pl.col("rank").mean().over("run", "position") + 0.5  # the same for all steps of one position
    binned = ranked.with_columns(
        bin=pl.when(bins < 2).then("rank").otherwise((middle / pl.col("total") * bins).floor().cast(pl.Int64))
    )
    advantage = pl.col("advantage")
    return (
        binned.group_by("run", "bin")
        .agg(
            first=pl.col("position").min(),
            last=pl.col("position").max(),
            steps=pl.len().cast(pl.Int64),
            groups=pl.col("group").n_unique().cast(pl.Int64),
            **{name: advantage.quantile(q, "linear") for name, q in QUANTILES.items()},
        )
        .sort("run", "bin")
        .drop("bin")
        .collect()
    )
