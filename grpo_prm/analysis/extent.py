"""Where a scale of colours ends: nearly all process steps of the log lie inside, so that it serves every group."""

from __future__ import annotations

from typing import NamedTuple

import polars as pl

QUANTILE = 0.99  # of the sizes: one huge value would leave all others pale


class Extent(NamedTuple):
    """The size at which a scale ends, and the largest of all, which may lie beyond; 0 where all values are 0."""

    limit: float
    most: float


def extents(process_steps: pl.LazyFrame, *columns: str) -> dict[str, Extent]:
    """Where scales of some columns end.

    Args:
        process_steps: Of a log; steps without a token in the loss are left out, as nulls are.
        columns: Of numbers.

    Returns:
        By column the `QUANTILE` of the absolute values, the largest where that is 0; a column of nulls is left out.
    """
    sizes = {name: pl.col(name).abs() for name in columns}
    found = (
        process_steps.filter(pl.col("tokens") > 0)
        .select(
            **{f"{name} limit": size.quantile(QUANTILE, "higher") for name, size in sizes.items()},
            **{f"{name} most": size.max() for name, size in sizes.items()},
        )
        .collect()
        .row(0, named=True)
    )
    pairs = {name: Extent(found[f"{name} limit"], found[f"{name} most"]) for name in columns}
    return {name: Extent(one.limit or one.most, one.most) for name, one in pairs.items() if one.most is not None}
