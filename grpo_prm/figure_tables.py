"""The data of every figure, from the tables that `analyze` writes: what a figure draws, and its CSV."""

from __future__ import annotations

from typing import Protocol

import polars as pl

Frame = pl.DataFrame | pl.LazyFrame

OVERLAP = ("path_depth", "intermediate_proportion")
DEFECTS = ("suppressed_good", "boosted_bad")
CURVE = 256  # most points of a distribution curve
BINS, BIN = 16, 25  # most bins over positions, and fewest steps in one; fewer than two bins' worth are drawn one by one
QUANTILES = {"q05": 0.05, "q25": 0.25, "median": 0.5, "q75": 0.75, "q95": 0.95}


class Tables(Protocol):
    """The tables of an analysis that figures are made of, in memory or lazy.

    Attributes:
        training: `run`, `step`, `statistic`, `mean`, `low`, `high`, `n`; `null_mean`, `null_low` and `null_high` (the
            same share with the rewards dealt anew) where known.
        groups: `run`, `path_depth`, `intermediate_proportion`.
        baseline: The same of cross-prompt pseudo-groups.
        process_steps: `run`, `group`, `start`, `size`, `k`, `tokens`, `advantage`, `zero_variance`.
    """

    @property
    def training(self) -> Frame: ...  # noqa: D102
    @property
    def groups(self) -> Frame: ...  # noqa: D102
    @property
    def baseline(self) -> Frame: ...  # noqa: D102
    @property
    def process_steps(self) -> Frame: ...  # noqa: D102


def figure_tables(analysis: Tables) -> dict[str, pl.DataFrame]:
    """Reduce the tables of an analysis to those that figures draw.

    Args:
        analysis: Of `grpo_prm.analyze`, or anything with its tables.

    Returns:
        One table for each name in `grpo_prm.figures.FIGURES`; a log without the data gives a table without rows.
    """
    training = analysis.training.lazy().collect()
    return {
        "overlap_over_training": over_training(training, OVERLAP, "baseline"),
        "overlap_over_groups": over_groups(analysis.groups, analysis.baseline),
        "advantage_by_position": by_position(analysis.process_steps),
        "defects_over_training": over_training(training, DEFECTS, "chance"),
    }


def over_training(training: pl.DataFrame, statistics: tuple[str, ...], reference: str) -> pl.DataFrame:
    """Statistics by run and step beside their reference, long: `run, step, statistic, series, mean, low, high, n`.

    The reference is the statistic of that name with `baseline_` before it, or the columns `null_*` of the same row.
    """
    columns = ["run", "step", "statistic", "series", "mean", "low", "high", "n"]
    observed = training.filter(pl.col("statistic").is_in(statistics)).with_columns(series=pl.lit("observed"))
    named = [f"{reference}_{statistic}" for statistic in statistics]
    beside = training.filter(pl.col("statistic").is_in(named)).with_columns(
        statistic=pl.col("statistic").str.strip_prefix(f"{reference}_"), series=pl.lit(reference)
    )
    parts = [observed.select(columns), beside.select(columns)]
    if reference == "chance" and {"null_low", "null_high"} <= set(training.columns):
        mean = pl.col("null_mean") if "null_mean" in training.columns else pl.lit(None, pl.Float64)
        chance = observed.with_columns(
            series=pl.lit(reference), mean=mean, low=pl.col("null_low"), high=pl.col("null_high")
        )
        parts.append(chance.select(columns).filter(pl.any_horizontal(pl.col("mean", "low").is_not_null())))
    return pl.concat(parts).sort("statistic", "series", "run", "step", descending=[True, True, False, False])


def over_groups(groups: Frame, baseline: Frame) -> pl.DataFrame:
    """Distribution functions over groups: `run, statistic, series, value, share, n`.

    Share of the `n` groups with at most `value`; each curve opens with share 0 at its least value. More than `CURVE`
    different values are thinned to about as many, evenly by share.
    """
    parts = [
        _distribution(frame, statistic, series)
        for statistic in OVERLAP
        for series, frame in (("observed", groups), ("baseline", baseline))
    ]
    return pl.concat(parts)


def _distribution(frame: Frame, statistic: str, series: str) -> pl.DataFrame:
    counts = (
        frame.lazy()
        .select("run", value=pl.col(statistic).cast(pl.Float64))
        .drop_nulls("value")
        .group_by("run", "value")
        .len("groups")
        .sort("run", "value")
        .with_columns(n=pl.col("groups").sum().over("run"), to=pl.col("groups").cum_sum().over("run"))
        .with_columns(share=pl.col("to") / pl.col("n"), bin=(CURVE * pl.col("to")) // pl.col("n"))
    )
    thinned = counts.filter((pl.col("bin") != pl.col("bin").shift(-1).over("run")).fill_null(value=True))
    opening = counts.group_by("run", maintain_order=True).first().with_columns(share=pl.lit(0.0))
    both = pl.concat([opening, thinned]).with_columns(
        pl.col("n").cast(pl.Int64), statistic=pl.lit(statistic), series=pl.lit(series)
    )
    columns = ("run", "statistic", "series", "value", "share", "n")
    return both.sort("run", "share").select(columns).collect()


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
