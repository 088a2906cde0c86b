"""Where sorted chunks on disk are cut into ranges of about one size (see `on_disk`): from their indexes alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Columns of an index, beside the run, the step and the cut keys of a piece.
FILE, FIRST, ROWS, BYTES = "_chunk", "_first", "_rows", "_bytes"
CUT = "_cut"  # prefix of the cut keys
TEXT = 64  # characters of a text that a cut key holds; prompts may be long
_RANGE, _LOW, _HIGH = "_range", "_low", "_high"


class Range(NamedTuple):
    """Neighbours in canonical order: several whole (run, step), or a part of one.

    Attributes:
        slices: File, first row and number of rows of each place to read.
        low: Cut keys of the first rows, which belong to it; None: from the beginning of the slices on.
        high: Cut keys of the first rows after it; None: to the end of the slices.
        bytes: About what its rows take in memory.
        whole: Does it hold whole steps?
    """

    slices: tuple[tuple[str, int, int], ...]
    low: tuple[int | float | str | None, ...] | None
    high: tuple[int | float | str | None, ...] | None
    bytes: int
    whole: bool


def cut_keys(by: Sequence[str], schema: pl.Schema) -> list[pl.Expr]:
    """Keys in whose order rows follow `by`: equal ones may be of several values, but no value has two.

    Args:
        by: Columns that tell groups apart.
        schema: Columns of the rows; those of `by` that it lacks are passed over.

    Returns:
        Expressions for the length in bytes and the beginning of texts, the values of others. What comes after a text
        that does not fit in whole is null, since two such texts with one beginning are not told apart.
    """
    keys: list[pl.Expr] = []
    fits = pl.lit(True)
    for name in (name for name in by if name in schema):
        column = pl.col(name)
        if schema[name] == pl.String:
            length = column.str.len_bytes()
            keys += [pl.when(fits).then(length), pl.when(fits).then(column.str.head(TEXT))]
            fits = fits & (length <= TEXT).fill_null(True)
        else:
            keys.append(pl.when(fits).then(column))
    return [key.alias(f"{CUT}{number}") for number, key in enumerate(keys)]


def ranges(index: pl.DataFrame, memory: int, inside: bool = True) -> list[Range]:
    """Cut the canonical order into ranges.

    Args:
        index: What `on_disk.write_sorted` returned for every chunk, put together in the order of the log.
        memory: Bytes of rows that a range holds at most, about: pieces of the chunks are not looked into.
        inside: May a (run, step) that is larger be cut between values of `by`? One value is never cut.

    Returns:
        The ranges in order; together they have every row once.
    """
    names = [c for c in ("run", "step") if c in index.columns]
    steps = index.group_by(names).agg(pl.col(BYTES).sum()).sort(names)
    starts = _packs(steps[BYTES].to_numpy(), memory)
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(steps)))
    steps = steps.with_columns(pl.Series(_RANGE, number, pl.UInt32))
    index = index.join(steps.drop(BYTES), on=names, how="left", nulls_equal=True, maintain_order="left")
    sizes = np.bincount(number, steps[BYTES].to_numpy()).astype(np.int64)
    large = sizes > memory if inside else np.zeros(len(sizes), bool)
    pieces = dict(index.filter(pl.col(_RANGE).is_in(np.flatnonzero(large))).group_by(_RANGE, maintain_order=True))
    whole = _slices(index)
    found: list[Range] = []
    for one, size in enumerate(sizes.tolist()):
        parts = _parts(pieces[(one,)], memory) if large[one] else ()
        found += parts or [Range(whole[one], None, None, size, True)]
    return found


def _packs(sizes: NDArray[np.int64], memory: int) -> NDArray[np.int64]:
    """Where each pack of neighbours begins: as many as fit, at least one."""
    ends = np.cumsum(sizes)
    starts = [0] if len(sizes) else []
    while starts:
        before = ends[starts[-1]] - sizes[starts[-1]]
        after = max(int(np.searchsorted(ends, before + memory, "right")), starts[-1] + 1)
        if after >= len(sizes):
            break
        starts.append(after)
    return np.array(starts, np.int64)


def _slices(index: pl.DataFrame) -> list[tuple[tuple[str, int, int], ...]]:
    """The slices of each whole range: its pieces are neighbours in every chunk."""
    slices = index.group_by(_RANGE, FILE, maintain_order=True).agg(pl.col(FIRST).min(), pl.col(ROWS).sum())
    of_range = slices.group_by(_RANGE).agg(FILE, FIRST, ROWS).sort(_RANGE)
    return [tuple(zip(*lists, strict=True)) for lists in of_range.select(FILE, FIRST, ROWS).iter_rows()]


def _parts(pieces: pl.DataFrame, memory: int) -> list[Range]:
    """Parts of one (run, step) between cut keys; none where there is but one."""
    keys = [c for c in pieces.columns if c.startswith(CUT)]
    if not keys:
        return []
    values = pieces.group_by(keys).agg(pl.col(BYTES).sum()).sort(keys).with_row_index(_LOW)
    starts = _packs(values[BYTES].to_numpy(), memory)
    if len(starts) == 1:
        return []
    pieces = pieces.join(values.drop(BYTES), on=keys, how="left", nulls_equal=True, maintain_order="left")
    # The keys of a piece end before the next one of its chunk begins; those of the last may be any.
    pieces = pieces.with_columns(pl.col(_LOW).shift(-1, fill_value=len(values)).over(FILE).alias(_HIGH))
    return list(_cut(pieces, values, keys, starts))


def _cut(pieces: pl.DataFrame, values: pl.DataFrame, keys: list[str], starts: NDArray[np.int64]) -> Iterator[Range]:
    sizes = np.add.reduceat(values[BYTES].to_numpy(), starts).tolist()
    bounds = values.select(keys)[starts].rows()
    for low, high, size, begin, end in zip(
        [None, *bounds[1:]], [*bounds[1:], None], sizes, starts, [*starts[1:], len(values)], strict=True
    ):
        of_part = pieces.filter((pl.col(_LOW) < end) & (pl.col(_HIGH) > begin))
        (slices,) = _slices(of_part)
        yield Range(slices, low, high, size, False)
