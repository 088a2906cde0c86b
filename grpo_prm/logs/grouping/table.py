"""Grouped rows to the canonical table: units for text, and the canonical columns in their order."""

from __future__ import annotations

from typing import Any

import polars as pl

from ..columns.plan import Plan
from ..rollouts import REWARD_PART, SCHEMA


class Finisher:
    """Makes canonical tables; keeps the tokenizer, and the pieces that it has numbered, from batch to batch."""

    def __init__(self, tokenizer: str | None) -> None:
        self._tokenizer = tokenizer
        self._encoder: Any = None

    def table(self, rows: pl.DataFrame, plan: Plan) -> pl.DataFrame:
        """Give grouped rows the columns of `SCHEMA`, then reward parts and kept columns."""
        if "tokens" in rows.columns and "tokens_from" not in rows.columns:
            rows = rows.with_columns(pl.lit("log").alias("tokens_from"))
        elif "tokens" not in rows.columns:
            rows = self._with_units(rows)
        absent = [pl.lit(None, dtype).alias(c) for c, dtype in SCHEMA.items() if c not in rows.columns]
        parts = [c for c in rows.columns if c.startswith(REWARD_PART)]
        return (
            rows.with_columns(absent)
            .select(*SCHEMA, *parts, *(c for c in plan.keep if c not in (*SCHEMA, *parts)))
            .rechunk()
        )

    def _with_units(self, rows: pl.DataFrame) -> pl.DataFrame:
        from ..tokenize import load, units

        self._encoder = self._encoder or load(self._tokenizer)
        made = units(self._encoder, rows["completion"], rows["_spans"])
        columns = [made.tokens.alias("tokens"), pl.lit(made.tokens_from).alias("tokens_from")]
        return rows.with_columns(*columns, *([] if made.mask is None else [made.mask.alias("mask")]))
