"""Rows that stand in a log twice: a sample index that comes again, or a whole step that was written again."""

from __future__ import annotations

import numpy as np
import polars as pl

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


def index_comes_again(bucket: np.ndarray, sample: pl.Series) -> np.ndarray:
    """True where a (bucket, sample) stood before, shape (rows,); rows without a sample index are never repeated."""
    first = pl.DataFrame({"bucket": bucket, "sample": sample}).select(pl.struct("bucket", "sample").is_first_distinct())
    return ~first.to_series().to_numpy() & sample.is_not_null().to_numpy()


def _numbers_repeat(rows: pl.DataFrame, size: int) -> bool:
    """Do rewards and advantages repeat after `size` rows? Costs next to nothing, and is nearly always false."""
    numbers = [c for c in ("reward", "advantage") if c in rows.columns]
    return all(rows[c].slice(0, len(rows) - size).equals(rows[c].slice(size)) for c in numbers)


def _distinct(rows: pl.DataFrame) -> int:
    """Number of different completions among the first."""
    unit = "tokens" if "tokens" in rows.columns else "completion"
    return rows[unit].head(1000).n_unique() if unit == "completion" else len(set(map(tuple, rows[unit].head(1000))))
