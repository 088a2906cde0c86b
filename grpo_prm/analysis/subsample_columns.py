"""The subsamples table: what smaller groups would have shown."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..core.groups import Groups
from ..core.subsample import subsampled


def subsamples_table(names: pl.DataFrame, groups: Groups) -> pl.DataFrame:
    """One row per group and size of subset.

    Args:
        names: The groups with the columns by which they and their clusters are known.
        groups: The groups.
    """
    expected = subsampled(groups.forest, groups.seen, groups.groups, groups.number)
    k = pl.Series(np.bincount(groups.groups, minlength=groups.number))
    named = names.with_columns(k=k)[expected.group, ["run", "step", "group", "prompt_key", "problem", "k"]]
    return named.hstack([pl.Series(name, getattr(expected, name), nan_to_null=True) for name in expected._fields[1:]])
