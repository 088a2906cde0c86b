"""The column that divides the cross-prompt baseline: its value for each group (definitions: Cross-prompt baseline)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import polars as pl

from ..errors import UsageError
from ..logs.options import ReadOptions
from ..logs.rollouts import SCHEMA, group_opens

VALUE = "baseline_by"  # column of a table: the value of its group, as text
OUTSIDE = "groups_outside_baseline"  # count of groups without one value


def reading_with(reading: ReadOptions, column: str | None) -> ReadOptions:
    """How to read a log so that the column comes along, whatever the log calls its others."""
    if column is None or column in SCHEMA or column in reading.keep:
        return reading
    return replace(reading, keep=(*reading.keep, column))


@contextmanager
def asked_by(column: str | None) -> Generator[None]:
    """A log without the column is refused by the name of the option that asks for it."""
    try:
        yield
    except UsageError as error:
        kept, by = f"--keep {column}:", f"--baseline-by {column}:"
        raise (UsageError(str(error).replace(kept, by)) if column and kept in str(error) else error) from None


def divided(table: pl.DataFrame, column: str | None) -> tuple[pl.DataFrame, int]:
    """The groups that have a value, and how many have none.

    Args:
        table: Canonical rollouts; rows of a group are neighbours.
        column: Its name; None: nothing is divided, and the table stays as it is.

    Returns:
        The rows of the groups in which every row has the same value that is not null, with `VALUE`; and the number of
        other groups of two or more, which take no part in the baseline.

    Raises:
        UsageError: The table has no such column, or it holds lists or objects.
    """
    if column is None:
        return table, 0
    if table.is_empty():  # of a batch that has notes alone
        return table.with_columns(pl.lit(None, pl.String).alias(VALUE)), 0
    if column not in table.columns:
        raise UsageError(f"The log has no column {column}. It has {', '.join(table.columns)}; name one.")
    values = table[column]
    if values.dtype.is_nested():
        raise UsageError(f"{column} holds lists or objects, which divide nothing. Name a column of texts or numbers.")
    texts = _as_texts(values)
    opens = group_opens(table)
    sizes = np.diff(opens, append=len(table))
    alike = (texts == texts.shift(1)).fill_null(value=False).to_numpy().copy()
    alike[opens] = texts.is_not_null().to_numpy()[opens]
    whole = np.logical_and.reduceat(alike, opens)
    outside = int((~whole & (sizes > 1)).sum())
    return table.with_columns(texts.alias(VALUE)).filter(pl.Series(np.repeat(whole, sizes))), outside


def _as_texts(values: pl.Series) -> pl.Series:
    """Values as texts that do not depend on the batch: a column of whole numbers may be one of fractions elsewhere."""
    if values.dtype.is_float():
        whole = values.is_finite() & (values == values.round()) & (values.abs() < 2**53)
        return pl.select(
            pl.when(whole).then(values.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(values.cast(pl.String))
        ).to_series()
    return values.cast(pl.String)


def baseline_notes(column: str | None, outside: int, pooled: int, *, none: bool) -> Iterator[str]:
    """What is to be said of the baseline.

    Args:
        column: What divides it; None: nothing.
        outside: Groups that have no value of it.
        pooled: How often several steps were put together.
        none: There are no pseudo-groups.
    """
    if none:
        prompts = "different prompts" if column is None else f"different prompts with one value of {column}"
        yield f"no step, nor its neighbours together, has as many {prompts} as a group has completions"
    elif pooled:
        pools = "1 pool of pseudo-groups spans" if pooled == 1 else f"{pooled} pools of pseudo-groups span"
        yield f"{pools} several steps, each too small on its own"
    if outside:
        groups, are = ("1 group", "is") if outside == 1 else (f"{outside:,} groups", "are")
        yield f"{groups} without one value of {column} {are} left out"
