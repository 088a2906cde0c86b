"""Rows that stand in a log twice: a sample index that comes again, or a whole step that was written again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from ..columns.plan import Plan
from ..rows.rejects import rejected_rows
from ..sources import Source
from .buckets import AGAIN, PIECE, numbers
from .done import Done, once
from .draws import fits_as_one

COPIES = (2, 3)  # how many times a step may stand there
SEVERAL = 3  # different completions; with fewer the halves of a step may be equal by themselves


def written_again(rows: pl.DataFrame) -> int:
    """How many of the last rows of a step are, row by row and in every column, what came before them.

    Identical completions are common in a group, so a row alone proves nothing; the whole step, in order, does.

    Args:
        rows: The rows of one step, in the order of the log.

    Returns:
        Number of rows at the end that repeat the start, 0 where nothing is repeated.
    """
    columns = [c for c in rows.columns if c not in ("_file", "_line")]
    for copies in COPIES:
        size, rest = divmod(len(rows), copies)
        if rest or not size or not _numbers_repeat(rows, size):
            continue
        shares = [rows.select(columns).slice(begin, size) for begin in range(0, len(rows), size)]
        if all(shares[0].equals(other) for other in shares[1:]) and _distinct(shares[0]) >= SEVERAL:
            return len(rows) - size
    return 0


def with_samples_once(
    rows: pl.DataFrame, plan: Plan, sources: Sequence[Source], noted: dict[str, str], done: Done
) -> pl.DataFrame:
    """Tell apart the draws of a key by a sample index that begins anew.

    Args:
        rows: Whole steps; `sample` is the index as the log has it, null where it has none.
        plan: What tells the buckets apart.
        sources: Files of the log, for the rejected rows.
        noted: Notes that were given already, by kind; grows.
        done: Gets the copies: rows that say what an earlier one of the same index says.

    Returns:
        The rows without copies; with `_again`, how often the index of a row has stood in its bucket before, where it
        has. Advantages that fit the whole bucket overrule it: then the ranks of a trainer count each from 0.
    """
    if "sample" not in rows.columns:
        return rows
    bucket = [c for c in ("run", "step", PIECE, *plan.by) if c in rows.columns]
    named = pl.col("sample").is_not_null()
    again = rows.select(~pl.struct(*bucket, "sample").is_first_distinct() & named).to_series()
    if not again.any():
        return rows
    said = [c for c in rows.columns if c not in ("_file", "_line")]
    copies = again & ~rows.select(pl.struct(said).is_first_distinct()).to_series()
    rest = rows.filter(~copies)
    # Another draw has each index once more. Where a single one comes again it is a mistake, and where the key is that
    # of a draw.
    number = pl.when(named).then(pl.int_range(pl.len()).over(*bucket, "sample")).otherwise(0).cast(pl.Int32)
    drawn = (pl.len() == pl.col("sample").n_unique() * (number.max() + 1)) & (pl.col("sample").n_unique() > 1)
    drawn = pl.lit(False) if plan.per_draw or "group" in plan.by else drawn.over(bucket)
    rest = rest.with_columns(number.alias(AGAIN), drawn.alias("_drawn"))
    odd = rest.select((pl.col(AGAIN) > 0) & ~pl.col("_drawn")).to_series()
    copied = pl.concat([rows.filter(copies), rest.filter(odd).select(rows.columns)])
    done.rejected.append(rejected_rows(copied, sources, "sample", "duplicate"))
    rest = _overruled(rest.filter(~odd).drop("_drawn"), bucket)
    drawn_again = rest.filter(pl.col(AGAIN) > 0)
    if len(drawn_again):
        where = f"{sources[drawn_again['_file'][0]].name}:{drawn_again['_line'][0]}"
        sentence = (
            f"The sample index {plan.paths['sample']} begins anew inside a group ({where}): each time it is another"
            " draw, a group of its own."
        )
        done.notes.extend(once(noted, "index", sentence))
    return rest


def _overruled(rows: pl.DataFrame, bucket: list[str]) -> pl.DataFrame:
    """Rows without a second draw in those buckets whose logged advantages fit them as one group."""
    several = pl.col(AGAIN).max().over(bucket) > 0
    some = rows.with_row_index("_row").filter(several)
    one = [
        of_one["_row"].to_numpy() for _, of_one in some.group_by(bucket, maintain_order=True) if _is_one_group(of_one)
    ]
    if not one:
        return rows
    again = rows[AGAIN].to_numpy().copy()
    again[np.concatenate(one)] = 0
    return rows.with_columns(pl.Series(AGAIN, again))


def _is_one_group(rows: pl.DataFrame) -> bool:
    """Do advantages say so? Where none are logged nothing does."""
    reward, advantage = numbers(rows, "reward"), numbers(rows, "advantage")
    return advantage is not None and fits_as_one(reward, advantage)


def _numbers_repeat(rows: pl.DataFrame, size: int) -> bool:
    """Do rewards and advantages repeat after `size` rows? Costs next to nothing, and is nearly always false."""
    numbers = [c for c in ("reward", "advantage") if c in rows.columns]
    return all(rows[c].slice(0, len(rows) - size).equals(rows[c].slice(size)) for c in numbers)


def _distinct(rows: pl.DataFrame) -> int:
    """Number of different completions among the first."""
    unit = "tokens" if "tokens" in rows.columns else "completion"
    return rows[unit].head(1000).n_unique() if unit == "completion" else len(set(map(tuple, rows[unit].head(1000))))
