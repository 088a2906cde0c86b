"""One scale of colours for the whole log, so that a colour means the same in every group."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from ..analysis.extent import QUANTILE, Extent, extents
from ..analysis.tables import Tables

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
    columns = {"advantage": "credit", "local_advantage": "local"}
    of_steps = extents(folder.process_steps, *columns)
    found = {columns[column]: extent for column, extent in of_steps.items()} | {
        name: Extent(float(np.quantile(values, QUANTILE, method="higher")), float(values.max()))
        for name, values in _of_tokens(folder.samples).items()
        if len(values)
    }
    return {
        name: {"limit": _rounded(extent.limit or extent.most), "most": _rounded(extent.most)}
        for name, extent in found.items()
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
