"""Where sorted chunks on disk are cut into ranges of about one size (see `on_disk`): from their indexes alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

# Columns of an index, beside the run and the step of a stretch.
FILE, FIRST, ROWS, BYTES = "_chunk", "_first", "_rows", "_bytes"
_RANGE = "_range"


class Range(NamedTuple):
    """Whole (run, step), neighbours in canonical order.

    Attributes:
        slices: File, first row and number of rows of each place to read.
        bytes: About what its rows take in memory.
    """

    slices: tuple[tuple[str, int, int], ...]
    bytes: int


def ranges(index: pl.DataFrame, memory: int) -> list[Range]:
    """Cut the canonical order into ranges.

    Args:
        index: What `on_disk.write_sorted` returned for every chunk, put together in the order of the log.
        memory: Bytes of rows that a range holds at most, about. A (run, step) that is larger is a range by itself:
            its groups, its usual group size and its pseudo-groups need all of it.

    Returns:
        The ranges in order; together they have every row once.
    """
    names = [c for c in ("run", "step") if c in index.columns]
    steps = index.group_by(names).agg(pl.col(BYTES).sum()).sort(names)
    starts = _packs(steps[BYTES].to_numpy(), memory)
    number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(steps)))
    steps = steps.with_columns(pl.Series(_RANGE, number, pl.UInt32))
    index = index.join(steps.drop(BYTES), on=names, how="left", nulls_equal=True, maintain_order="left")
    sizes = np.bincount(number, steps[BYTES].to_numpy()).astype(np.int64).tolist()
    return [Range(slices, size) for slices, size in zip(_slices(index), sizes, strict=True)]


def sizes_of_steps(index: pl.DataFrame) -> Iterator[tuple[tuple[str, int | None], int, int]]:
    """Run and step of each (run, step) of an index as `ranges` takes it, how many rows it has and their bytes."""
    names = [c for c in ("run", "step") if c in index.columns]
    sums = index.group_by(names).agg(pl.col(ROWS).sum(), pl.col(BYTES).sum()).sort(names)
    for run, *step, rows, size in sums.iter_rows():
        yield (run, step[0] if step else None), rows, size


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
    """The slices of each range: its steps are neighbours in every chunk."""
    slices = index.group_by(_RANGE, FILE, maintain_order=True).agg(pl.col(FIRST).min(), pl.col(ROWS).sum())
    of_range = slices.group_by(_RANGE).agg(FILE, FIRST, ROWS).sort(_RANGE)
    return [tuple(zip(*lists, strict=True)) for lists in of_range.select(FILE, FIRST, ROWS).iter_rows()]
