"""Whether the branches say anything: mean |A| of intermediate tokens beside what the rewards dealt anew give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from .logs import Logs
from .over_training import over_training

BINS = 24  # of the permutations


def informativeness(logs: Logs) -> pl.DataFrame:
    """Histogram of the permutations, the observed value, and both over training.

    Args:
        logs: The analyses.

    Returns:
        `run`, `series`, `step`, `first`, `last`, `steps`, `mean`, `low`, `high`, `n`, `p_value`. Series `permutations`:
        bins from `low` to `high` that hold `n` of the permutations. `value`: what the log has as `mean`, with its
        `p_value` by `n` permutations. `observed`, `null`, `each_step`: of `over_training`. A run of which
        nothing is known is left out.
    """
    rows = [row for name, summary in logs.summaries.items() for row in _whole(name, summary, logs.permutations)]
    ints = dict.fromkeys(("step", "first", "last", "steps"), pl.Int64)
    floats = dict.fromkeys(("mean", "low", "high"), pl.Float64)
    names = {"run": pl.String, "series": pl.String, **ints, **floats, "n": pl.Int64, "p_value": pl.Float64}
    course = over_training(logs, ("informativeness",), "null").with_columns(p_value=pl.lit(None, pl.Float64))
    return pl.concat([pl.DataFrame(rows, names, orient="row"), course.select(*names)])


def _whole(name: str, summary: Mapping[str, Any], permutations: pl.DataFrame) -> list[tuple]:
    found = summary["informativeness"]
    draws = permutations.filter(run=name)["informativeness"].drop_nulls().to_numpy()
    if found is None or not len(draws):
        return []
    alike = np.ptp(draws) <= 1e-9 * np.abs(draws).max()  # but for rounding: bins between would have no width
    counts, edges = np.histogram(draws, 1 if alike else BINS)
    bins = zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True)
    nothing = (None, None, None, None)
    value = (name, "value", *nothing, found["observed"], None, None, len(draws), found["p_value"])
    return [*((name, "permutations", *nothing, None, low, high, n, None) for low, high, n in bins), value]
