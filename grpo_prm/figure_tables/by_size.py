"""Which process sets GRPO's count of |λ| falls on: amplification and update scale by the size of the set."""

from __future__ import annotations

import polars as pl

from .logs import Logs

POWERS = (0.0, 0.5, 1.0)
DIGITS = 12  # of a sum of floats: further ones depend on the order in which threads add
EACH_UP_TO = 16  # sizes up to which each is a row of its own; further ones are pooled between powers of two


def by_size(logs: Logs) -> pl.DataFrame:
    """Part of each size |λ| in what λ-GRPO with some p makes of the amplification and of the update scale.

    amplification: Σ |λ|^-p |A| over the tokens of steps of that size, over Σ |A| over all unique tokens. Summed over
    sizes it is the amplification of the summary for p = 0 and 1 for p = 1 (less where the members of a step do not
    agree which tokens are in the loss). update_scale: Σ |λ|^-p over the tokens of these steps, over all tokens;
    summed it is s(p). All tokens are loss tokens of every completion.

    Args:
        logs: The analyses.

    Returns:
        `run`, `statistic` (amplification, update_scale), `p`, `first`, `last` (least and greatest size of a bin),
        `value`, `steps`, `tokens`. A size between 1 and the greatest that no step has is a row of zeros; in bins, none.
    """
    size, tokens, absolute = pl.col("size"), pl.col("tokens"), pl.col("advantage").abs().fill_null(0.0)
    sums = {f"abs_{p}": (size.cast(pl.Float64).pow(-p) * tokens * absolute).sum() for p in POWERS}
    sums |= {f"scale_{p}": (size.cast(pl.Float64).pow(-p) * tokens).sum() for p in POWERS}
    by = (
        logs.process_steps.filter(tokens > 0)
        .group_by("run", "size")
        .agg(**sums, unique=(pl.col("unique") * absolute).sum(), steps=pl.len().cast(pl.Int64), tokens=tokens.sum())
        .with_columns(bin=_bin(size.max().over("run")))
        .group_by("run", "bin")
        .agg(pl.exclude("size").sum(), first=size.min(), last=size.max())
        .sort("run", "bin")
        .collect()
    )
    by = _with_gaps(by)
    rows = [
        _row(by, statistic, p, pl.col(f"{column}_{p}"), over)
        for statistic, column, over in (("amplification", "abs", "unique"), ("update_scale", "scale", "tokens"))
        for p in POWERS
    ]
    return pl.concat(rows).filter(pl.col("value").is_not_nan())


def _bin(most: pl.Expr) -> pl.Expr:
    """Each size its own bin, or 1, 2, 3 to 4, 5 to 8, ... where `most` is large."""
    size = pl.col("size")
    pooled = (size.cast(pl.Float64).log(2) - 1e-9).ceil().cast(pl.Int64)
    return pl.when(most > EACH_UP_TO).then(pooled).otherwise(size.cast(pl.Int64))


def _with_gaps(by: pl.DataFrame) -> pl.DataFrame:
    """Rows of zeros for sizes that no step has, where each size is a row."""
    single = by.filter((pl.col("first") == pl.col("last")).all().over("run"))
    sizes = single.group_by("run", maintain_order=True).agg(first=pl.int_range(1, pl.col("last").max() + 1))
    whole = (
        sizes.explode("first")
        .select("run", *(pl.col("first").cast(by.schema[name]).alias(name) for name in ("first", "last")))
        .join(single, on=("run", "first", "last"), how="left", maintain_order="left")
        .with_columns(pl.exclude("run").fill_null(0))
    )
    return pl.concat([by.join(single, on="run", how="anti", maintain_order="left"), whole.select(by.columns)])


def _row(by: pl.DataFrame, statistic: str, p: float, value: pl.Expr, over: str) -> pl.DataFrame:
    return by.select(
        "run",
        pl.lit(statistic).alias("statistic"),
        pl.lit(p).alias("p"),
        *(pl.col(name).cast(pl.Int64) for name in ("first", "last")),
        (value / pl.col(over).sum().over("run")).round_sig_figs(DIGITS).alias("value"),
        *(pl.col(name).cast(pl.Int64) for name in ("steps", "tokens")),
    )
