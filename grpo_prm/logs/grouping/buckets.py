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
STEP = ("run", "step")


def in_buckets(rows: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, Ints, Ints]:
    """Rows bucket after bucket; the bucket of each, and its place in the log.

    Where the log names step and key the buckets of a step stand in the order of their keys, and where all rows of a
    bucket name their sample, these in the order of its index: so the order of the rows in the log changes nothing. Else
    both stand in the order in which they appear.
    """
    by = [c for c in ("run", "step", PIECE, *plan.by, AGAIN) if c in rows.columns]
    buckets = rows.select(by).with_row_index("_row").group_by(by, maintain_order=True).agg("_row")
    if "key" in by:
        buckets = _in_steps(buckets, by)
    buckets = buckets["_row"]
    order = buckets.list.explode(empty_as_null=False).to_numpy()
    bucket = np.repeat(np.arange(len(buckets)), buckets.list.len().to_numpy())
    if {"key", "step"} <= set(by) and "sample" in rows.columns:
        order = _by_sample(rows.select("step", "sample"), bucket, order)
    if (np.diff(order) != 1).any():  # most logs have them in order: then nothing is copied
        rows = rows[order]
    return rows, bucket, order


def shortlex(column: str) -> tuple[pl.Expr, pl.Expr]:
    """What to sort a column of text by so that 2 comes before 10: length in bytes, then the text."""
    return pl.col(column).str.len_bytes(), pl.col(column)


def _in_steps(buckets: pl.DataFrame, by: list[str]) -> pl.DataFrame:
    """The buckets of each step in the order of their keys; the steps, and rows of no step, stay as they come."""
    texts = [expr for c in by if c not in STEP and buckets.schema[c] == pl.String for expr in shortlex(c)]
    # A further draw comes behind the first of its key, in the order in which they appear.
    further = [pl.col(AGAIN)] if AGAIN in by else []
    return buckets.sort(*_steps(buckets), *texts, *further, maintain_order=True)


def _steps(frame: pl.DataFrame) -> tuple[pl.Expr, pl.Expr]:
    """To sort by before the keys: the step, where it is named, and the place of the others."""
    run_and_step = pl.struct([c for c in STEP if c in frame.columns]).rle_id()
    if "step" not in frame.columns:
        return run_and_step, pl.int_range(pl.len())
    return run_and_step, pl.when(pl.col("step").is_null()).then(pl.int_range(pl.len()))


def _by_sample(rows: pl.DataFrame, bucket: Ints, order: Ints) -> Ints:
    """The rows of each bucket of a named step by their sample index, where each has one of its own."""
    numbers = rows["sample"].cast(pl.Int64, strict=False)  # indices are nearly always numbers, which are compared fast
    if numbers.null_count():
        length_and_text = pl.struct(pl.col("sample").str.len_bytes().alias("length"), "sample").rank("dense")
        numbers = rows.select(pl.when(pl.col("sample").is_not_null()).then(length_and_text).cast(pl.Int64)).to_series()
    none = (numbers.is_null() | rows["step"].is_null()).to_numpy()[order]
    index, inside = numbers.fill_null(-1).to_numpy()[order], np.diff(bucket) == 0
    if not none.any() and (np.diff(index)[inside] > 0).all():
        return order
    sort = np.lexsort((index, bucket))
    # Ranks of a trainer may each count from 0, and some rows may have none: such a bucket stays as it is.
    stays = np.zeros(int(bucket[-1]) + 1 if len(bucket) else 0, bool)
    stays[bucket[1:][inside & (np.diff(index[sort]) == 0)]] = True
    stays[bucket[none]] = True
    return order[np.where(stays[bucket], np.arange(len(order)), sort)]


def in_order_of_keys(heads: pl.DataFrame) -> Ints:
    """The groups of each named step in the order of their keys, as places in `heads`, their first rows; steps stay."""
    by = (*_steps(heads), *shortlex("group_key"))
    return heads.select(pl.arg_sort_by(*by, maintain_order=True)).to_series().to_numpy()


def steps_of(heads: pl.DataFrame) -> list[tuple[str, int]]:
    """Run and number of buckets of every step, in order."""
    names = [c for c in STEP if c in heads.columns]
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
    names = [c for c in STEP if c in heads.columns]
    frame = heads.select(names).with_columns(keys.alias("key"))[of_bucket]
    frame = frame.with_columns(pl.int_range(1, pl.len() + 1).over(*names, "key").alias("number"))
    named = pl.when(pl.col("number") > 1).then(pl.format("{}#{}", "key", "number")).otherwise("key")
    return frame.select(named.alias("key")).to_series()
