"""The table of a figure over training: statistics beside their reference, by step, or by window in a long run."""

from __future__ import annotations

import polars as pl

from ..analysis.clusters import CLUSTER
from ..analysis.ratios import Sums, columns_of
from ..analysis.statistics import STATISTICS
from .logs import Logs

MANY_STEPS = 40  # of a run, up to which each is a point; the figures of single steps of a long run are mostly noise
WINDOWS = 30  # of a longer run, about
COLUMNS = ("run", "step", "first", "last", "steps", "statistic", "series", "mean", "low", "high", "n")
OBSERVED, BASELINE, NULL = "observed", "baseline", "null"  # series: the log, and its two references
EACH = "each_step"  # series: single steps of a run whose observed series is of windows


def over_training(logs: Logs, statistics: tuple[str, ...], reference: str) -> pl.DataFrame:
    """Statistics by run and step beside their reference.

    Of a run with more than `MANY_STEPS` steps a row is a window of consecutive steps: the statistic of all its groups,
    with the interval of `ratios.Sums` over its problems; `n` counts these. The null of a window is the mean over its
    steps, weighted by the denominators of the statistic, without a range.

    Args:
        logs: The analyses.
        statistics: Names of `statistics.STATISTICS`.
        reference: `BASELINE` (the statistic of that name with `baseline_` before it), or `NULL` (the columns `null_*`
            of the same row).

    Returns:
        `run`, `step` (of a window its middle one), `first`, `last` and number of `steps` of the window (both `step`
        and 1 where there is none), `statistic`, `series` (`observed`, `reference`; `each_step` for single steps where
        `observed` are windows), `mean`, `low`, `high`, `n`.
    """
    named = [*statistics, *(f"{BASELINE}_{name}" for name in statistics)]
    training = logs.training.lazy().filter(pl.col("statistic").is_in(named)).collect()
    training = training.with_columns(first=pl.col("step"), last=pl.col("step"), steps=pl.lit(1, pl.Int64))
    steps = windows(training)
    long = pl.col("run").is_in(steps["run"].unique().to_list())
    single = _by_step(training, statistics, reference)
    tables = [single.filter(~long), single.filter(long, series=OBSERVED).with_columns(series=pl.lit(EACH))]
    if len(steps):
        own = _in_windows(logs.groups, steps, statistics, logs.seed, CLUSTER)
        beside = (
            # Pseudo-groups of one step share its prompts, so that the step is their cluster, as in the summary.
            _in_windows(logs.baseline, steps, statistics, logs.seed, ("run", "step"))
            if reference == BASELINE
            else _null_in_windows(logs, steps, statistics)
        )
        tables += [own.with_columns(series=pl.lit(OBSERVED)), beside.with_columns(series=pl.lit(reference))]
    return pl.concat([table.select(COLUMNS) for table in tables]).sort(
        "statistic", "series", "run", "step", descending=[True, True, False, False]
    )


def _by_step(training: pl.DataFrame, statistics: tuple[str, ...], reference: str) -> pl.DataFrame:
    """Rows of single steps, as the training table has them."""
    observed = training.filter(pl.col("statistic").is_in(statistics)).with_columns(series=pl.lit(OBSERVED))
    if reference == NULL:
        nulls = {name: pl.col(f"null_{name}") for name in ("mean", "low", "high")}
        beside = observed.with_columns(series=pl.lit(reference), **nulls).filter(
            pl.any_horizontal(pl.col("mean", "low").is_not_null())
        )
    else:
        named = [f"{reference}_{statistic}" for statistic in statistics]
        beside = training.filter(pl.col("statistic").is_in(named)).with_columns(
            statistic=pl.col("statistic").str.strip_prefix(f"{reference}_"), series=pl.lit(reference)
        )
    return pl.concat([observed.select(COLUMNS), beside.select(COLUMNS)])


def has_course(table: pl.DataFrame) -> bool:
    """Whether any run has two steps or more to draw a line through."""
    return (table.group_by("run").agg(pl.col("step").drop_nulls().n_unique())["step"] > 1).any()


def windows(training: pl.DataFrame) -> pl.DataFrame:
    """Which window each step of a long run is in.

    Returns:
        `run`, `step`, `first`, `middle`, `last` (steps of its window) and their number `steps`; runs of `MANY_STEPS` or
        fewer are left out. All windows of a run but the last hold the same number of steps.
    """
    steps = training.select("run", "step").drop_nulls().unique().sort("run", "step")
    count, place = pl.len().over("run"), pl.int_range(pl.len()).over("run")
    each = (count + WINDOWS - 1) // WINDOWS  # rounded up, so that there are never more than `WINDOWS`
    step, window = pl.col("step"), ("run", "window")
    return (
        steps.with_columns(count=count, window=place // each)
        .filter(pl.col("count") > MANY_STEPS)
        .with_columns(
            first=step.min().over(window),
            middle=step.sort().get((pl.len() - 1) // 2).over(window),  # a step that is in the log, not a mean of two
            last=step.max().over(window),
            steps=pl.len().over(window).cast(pl.Int64),
        )
        .drop("count", "window")
    )


def _in_windows(
    groups: pl.LazyFrame,
    steps: pl.DataFrame,
    statistics: tuple[str, ...],
    seed: int,
    clusters: tuple[str, ...],
) -> pl.DataFrame:
    """Figures of each window from the sums of its groups."""
    columns = {name for statistic in statistics for name in columns_of(statistic)} - {"groups"}
    read = dict.fromkeys(["run", "step", *clusters, *sorted(columns)])
    inside = (
        groups.lazy().select(list(read)).collect().join(steps, on=("run", "step"), how="inner", maintain_order="left")
    )
    sums = Sums(inside, clusters, statistics)
    rows = [
        (run, middle, first, last, many, name, *interval)
        for (run, first, middle, last, many, at) in inside.with_row_index("row")
        .group_by("run", "first", "middle", "last", "steps", maintain_order=True)
        .agg("row")
        .iter_rows()
        for name, interval in sums.intervals(seed, at).items()
    ]
    return _frame(rows)


def _null_in_windows(logs: Logs, steps: pl.DataFrame, statistics: tuple[str, ...]) -> pl.DataFrame:
    """Means over steps of the null, weighted by what the statistic is a share of.

    The log keeps the null of each step, not its sums. The mean of ratios weighted by their denominators is the ratio of
    the sums; ranges of steps do not add up in this way, so a window has none.
    """
    weights = pl.concat(
        logs.groups.lazy()
        .filter(pl.col(STATISTICS[name].numerator).is_not_null())
        .group_by("run", "step")
        .agg(weight=pl.col(STATISTICS[name].denominator).cast(pl.Float64).sum(), statistic=pl.lit(name))
        .select("run", "step", "statistic", "weight")
        .collect()
        for name in statistics
    )
    mean, weight = pl.col("null_mean"), pl.col("weight")
    return (
        logs.training.lazy()
        .filter(mean.is_not_null(), pl.col("statistic").is_in(statistics))
        .collect()
        .join(weights, on=("run", "step", "statistic"))
        .join(steps, on=("run", "step"))
        .group_by("run", "statistic", "first", "middle", "last", "steps")
        .agg(mean=(mean * weight).sum() / weight.sum(), n=pl.len().cast(pl.Int64))
        .with_columns(step=pl.col("middle"), low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    )


def _frame(rows: list[tuple]) -> pl.DataFrame:
    ints, floats = (
        dict.fromkeys(("step", "first", "last", "steps"), pl.Int64),
        dict.fromkeys(("mean", "low", "high"), pl.Float64),
    )
    return pl.DataFrame(rows, {"run": pl.String, **ints, "statistic": pl.String, **floats, "n": pl.Int64}, orient="row")
