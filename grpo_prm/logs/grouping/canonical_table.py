"""Grouped rows to the canonical table: text turned into units, and the canonical columns in their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

import polars as pl

from ..columns.plan import Plan, in_rows
from ..rollouts import BESIDE, BY_FILE, BY_LOG, REWARD_PART, SCHEMA
from .beside_text import without_logprobs_beside_text

if TYPE_CHECKING:
    from ..tokenize import Pieces, Tokens


def canonical_table(
    rows: pl.DataFrame, plan: Plan, encoder: Callable[[], Pieces | Tokens], told: Counter[str]
) -> pl.DataFrame:
    """Give grouped rows the columns of `SCHEMA`, then the reward parts and the kept columns.

    Args:
        rows: Columns of `records.row_schema`, and those that the grouping adds.
        plan: What the columns mean.
        encoder: Gives what turns text into units, the same for every batch of a log, as it numbers the pieces that it
            meets. It is called only where ids are not logged: to load a tokenizer takes seconds.
        told: Gets what was done to single rows.

    Returns:
        A canonical table.
    """
    if "tokens" not in rows.columns:
        rows = _with_units(rows, encoder())
    elif "tokens_from" not in rows.columns:  # a canonical log names it
        rows = rows.with_columns(pl.lit("log").alias("tokens_from"))
    rows = rows.with_columns(_what_names_the_run(rows, plan).alias("run_from"))
    absent = [pl.lit(None, dtype).alias(c) for c, dtype in SCHEMA.items() if c not in rows.columns]
    rewards = [c for c in rows.columns if c.startswith(REWARD_PART)]
    rewards += [c for c in BESIDE if c in rows.columns]
    kept = [pl.col(in_rows(c)).alias(c) for c in dict.fromkeys(plan.keep) if c not in (*SCHEMA, *rewards)]
    rows = without_logprobs_beside_text(rows, told)
    return rows.with_columns(absent).select(*SCHEMA, *rewards, *kept).rechunk()


def _what_names_the_run(rows: pl.DataFrame, plan: Plan) -> pl.Expr:
    if "group" in plan.by:  # a canonical log says it itself, one of an older version does not
        said = pl.col("run_from") if "run_from" in rows.columns else pl.lit(None, pl.String)
        return pl.when(said.is_in([BY_LOG, BY_FILE])).then(said)
    return pl.lit(BY_LOG if "run" in plan.paths and not plan.run_of_file else BY_FILE)


def _with_units(rows: pl.DataFrame, encoder: Pieces | Tokens) -> pl.DataFrame:
    """The units of each completion, where they come from, and the mask if some are out of the loss."""
    from ..tokenize import units

    made = units(encoder, rows["completion"], rows["_segments"])
    columns = [made.tokens.alias("tokens"), pl.lit(made.tokens_from).alias("tokens_from")]
    return rows.with_columns(*columns, *([] if made.mask is None else [made.mask.alias("mask")]))
