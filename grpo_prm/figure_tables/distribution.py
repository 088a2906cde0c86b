"""How overlap is spread over groups: distribution functions, beside cross-prompt pseudo-groups."""

from __future__ import annotations

import polars as pl

from .logs import Frame

OVERLAP = ("path_depth", "intermediate_proportion")
CURVE = 256  # most points of a distribution curve


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
