"""The table `decided`: where the outcome is decided, as sums of each group (docs/output.md)."""

from __future__ import annotations

import numpy as np
import polars as pl

from ..core.decided import Curve, decided, share_points, token_points
from ..core.distinct import distinct
from ..core.groups import Groups

SCHEMA = {
    "run": pl.String(),
    "step": pl.Int64(),
    "group": pl.Int64(),
    "axis": pl.String(),
    "point": pl.Float64(),
    "sum": pl.Float64(),
    "expected": pl.Float64(),
    "pairs": pl.Int64(),
}
SHARE, TOKENS = "share", "tokens"  # of `axis`


def decided_table(names: pl.DataFrame, groups: Groups) -> pl.DataFrame:
    """Sums over the pairs of each group that share more than a point of their path.

    Args:
        names: `run`, `step`, `group` of each group.
        groups: The groups.

    Returns:
        `SCHEMA`: a row for each group, axis and point that a pair of it reaches; none of groups of zero variance.
    """
    curves = decided(groups.forest, groups.seen, distinct(groups.forest), groups.advantages, ~groups.zero)
    longest = int(groups.seen.completion.max(initial=0))
    axes = ((SHARE, share_points(), curves.share), (TOKENS, token_points(longest), curves.tokens))
    # Group by group, so that slices put end to end give the table of the whole.
    return pl.concat([_of_axis(names, *axis) for axis in axes]).sort("_at", maintain_order=True).drop("_at")


def _of_axis(names: pl.DataFrame, axis: str, points: np.ndarray, curve: Curve) -> pl.DataFrame:
    group, point = np.nonzero(curve.pairs)
    columns = {name: values[group, point] for name, values in zip(("sum", "expected", "pairs"), curve, strict=True)}
    of_groups = names[group, ["run", "step", "group"]].with_columns(axis=pl.lit(axis), point=points[point])
    typed = (pl.col(name).cast(dtype) for name, dtype in SCHEMA.items())
    return of_groups.with_columns(**columns).select(*typed, pl.Series("_at", group))
