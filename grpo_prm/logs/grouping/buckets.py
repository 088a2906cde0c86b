"""Buckets: the rows of one run, step and key, or exact prompt, put together; and what each is called."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..columns.plan import Plan

Ints = NDArray[np.int64]
# Beside the columns of the plan: the piece of a log without steps that a row stands in, and how often its sample index
# has stood in its bucket before.
PIECE, AGAIN = "_piece", "_again"


def in_buckets(rows: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, Ints, Ints]:
    """Rows bucket after bucket, in the order in which these appear; the bucket of each, and its place in the log."""
    by = [c for c in ("run", "step", PIECE, *plan.by, AGAIN) if c in rows.columns]
    buckets = rows.select(by).with_row_index("_row").group_by(by, maintain_order=True).agg("_row")["_row"]
    order = buckets.list.explode(empty_as_null=False).to_numpy()
    if (np.diff(order) != 1).any():  # most logs have them in order: then nothing is copied
        rows = rows[order]
    return rows, np.repeat(np.arange(len(buckets)), buckets.list.len().to_numpy()), order


def steps_of(heads: pl.DataFrame) -> list[tuple[str, int]]:
    """Run and number of buckets of every step, in order."""
    names = [c for c in ("run", "step") if c in heads.columns]
    runs = heads.select(pl.struct(names).rle().alias("runs")).unnest("runs")
    return list(zip(runs["value"].struct.field("run"), runs["len"].to_list(), strict=True))


def numbers(rows: pl.DataFrame, column: str) -> NDArray[np.float64] | None:
    """A column of numbers, nulls as NaN; None where it is not logged at all."""
    if column not in rows.columns or rows[column].null_count() == len(rows):
        return None
    return rows[column].to_numpy()


def hashed(prompt: str) -> str:
    """Name of a group whose log has no key but the prompt."""
    return hashlib.blake2b(prompt.encode(), digest_size=6).hexdigest()


def keys_of(heads: pl.DataFrame) -> pl.Series:
    """The log's own key of each bucket, else a hash of its exact prompt, else the line that holds it."""
    if "key" in heads.columns:
        return heads["key"]
    if "prompt" in heads.columns and not heads["prompt"].null_count():
        return pl.Series([hashed(prompt) for prompt in heads["prompt"]], dtype=pl.String())
    return heads["_line"].cast(pl.String())


def numbered(heads: pl.DataFrame, keys: pl.Series, of_bucket: Ints) -> pl.Series:
    """Keys of the groups, the second and later ones of a step with one key marked `#2`, `#3`."""
    names = [c for c in ("run", "step") if c in heads.columns]
    frame = heads.select(names).with_columns(keys.alias("key"))[of_bucket]
    frame = frame.with_columns(pl.int_range(1, pl.len() + 1).over(*names, "key").alias("number"))
    named = pl.when(pl.col("number") > 1).then(pl.format("{}#{}", "key", "number")).otherwise("key")
    return frame.select(named.alias("key")).to_series()
