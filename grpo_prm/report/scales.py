"""One scale of colours for the whole log, so that a colour means the same in every group."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..analysis.tables import Tables

QUANTILE = 0.99  # of the sizes of a measure: what lies beyond has the last colour, and the legend says so
_DIGITS = 3


def scales(folder: Tables) -> dict[str, dict[str, float]]:
    """Where each measure of a token ends.

    Args:
        folder: Of the analysis.

    Returns:
        `credit` (A of the step) and `local` (less that of the step before) over all process steps of the log with a
        token in the loss; `surprisal` (-log π) and `gap` (trainer less sampler) over the tokens of the groups that
        samples.parquet has, where they are logged. Each has `limit`, the `QUANTILE` of its absolute values, and `most`,
        the largest; a measure without values is left out.
    """
    inside = folder.process_steps.filter(pl.col("tokens") > 0)
    columns = {"credit": pl.col("advantage").abs(), "local": pl.col("local_advantage").abs()}
    limits = inside.select(
        **{f"{name}_limit": values.quantile(QUANTILE, "higher") for name, values in columns.items()},
        **{f"{name}_most": values.max() for name, values in columns.items()},
    ).collect()
    sampled = _of_tokens(folder.samples)
    found = {name: (limits[f"{name}_limit"][0], limits[f"{name}_most"][0]) for name in columns} | {
        name: (float(np.quantile(values, QUANTILE, method="higher")), float(values.max()))
        for name, values in sampled.items()
        if len(values)
    }
    return {
        name: {"limit": _rounded(limit or most), "most": _rounded(most)}
        for name, (limit, most) in found.items()
        if most is not None
    }


def _of_tokens(samples: pl.DataFrame) -> dict[str, Any]:
    """Sizes of what is logged of each token, NaN left out."""
    logged = {
        name: samples.filter(pl.col(name).is_not_null())
        for name in ("logprobs", "trainer_logprobs")
        if name in samples.columns
    }
    made = {}
    if "logprobs" in logged:
        made["surprisal"] = _flat(logged["logprobs"], "logprobs")
    if "trainer_logprobs" in logged:
        both = logged["trainer_logprobs"].filter(pl.col("logprobs").is_not_null())
        made["gap"] = _flat(both, "trainer_logprobs") - _flat(both, "logprobs")
    return {name: np.abs(values[np.isfinite(values)]) for name, values in made.items()}


def _flat(table: pl.DataFrame, column: str) -> Any:
    return table[column].explode(empty_as_null=False).fill_null(float("nan")).to_numpy().astype(float)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
