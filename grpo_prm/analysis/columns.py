"""A column of a table from an array: NaN is null, a count is whole."""

from __future__ import annotations

import numpy as np
import polars as pl

COUNTS = (
    *("good_tokens", "suppressed_good_tokens", "bad_tokens", "boosted_bad_tokens", "informative_tokens"),
    *("inherited_tokens", "contest_tokens", "certain_wilson", "certain_student"),
)


def column(name: str, values: np.ndarray | pl.Series | None, number: int) -> pl.Series:
    """A column of the groups or of the process steps; NaN is null, and so is all of it where there are no values."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    dtype = pl.Int64 if name in COUNTS else pl.Float64
    if values is None:
        return pl.Series(name, [None] * number, dtype)
    return pl.Series(name, values.astype(np.int64) if name in COUNTS else values, nan_to_null=True)
