"""Groups whose rollouts travel with an analysis beside the samples: as many as fill a page, or as are asked for."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from ..core.seeds import group_seeds
from ..errors import UsageError
from .content import names_of
from .spill import Spill

Keep = int | Literal["all"] | None
ROOM = 1 << 24  # bytes of text and ids that are kept if nothing is asked for: a page of 5 MB is full with them
# Of a group: its texts and, four bytes each, its ids. The prompt counts once, with the first completion.
SIZE = (
    pl.col("completion").str.len_bytes().sum()
    + 4 * pl.col("tokens").list.len().sum()
    + pl.col("prompt").str.len_bytes().first().fill_null(0)
)
LOWEST = {"seed": pl.Float64, "group": pl.Int64, "bytes": pl.Int64}


class Texts:
    """Keeps the rollouts of some groups while the batches of a log come by: those of the lowest seeds.

    Batching and order change nothing: a seed is made of the names of a group. Rows go to the spill as they are chosen;
    those of groups that were overtaken later are left out when the table is asked for, and of M groups only about
    N (1 + log(M / N)) are ever written for N that stay.

    Args:
        seed: Of the random choice.
        keep: How many groups; `all`: every one; None: as many as have `ROOM` bytes, one at least.
        spill: Folder for the rows; None: memory.
    """

    def __init__(self, seed: int, keep: Keep, spill: Path | None = None) -> None:
        self._seed, self._keep = seed, keep
        self._rows = Spill("texts", spill, "diagonal_relaxed")
        self._lowest = pl.DataFrame(schema=LOWEST)  # by seed
        self._last = np.inf  # a group of a larger seed is not among them

    def add(self, table: pl.DataFrame, groups: pl.DataFrame) -> None:
        """Add a slice: its rollouts, and its rows of the groups table."""
        chosen = self._choose(table, groups)
        if len(chosen):
            self._rows.add(_of(table, chosen).sort("group", "sample").collect())

    def _choose(self, table: pl.DataFrame, groups: pl.DataFrame) -> pl.Series:
        """The groups of a slice that are among the first so far."""
        number = groups["group"]
        if self._keep == "all":
            return number
        seeds = group_seeds(self._seed, repeat("text", len(groups)), *names_of(groups)) / 2.0**64
        near = seeds <= self._last
        if not near.any():
            return number.clear()
        named = pl.LazyFrame({"seed": seeds[near], "group": number.filter(near)})
        sizes = _of(table, number.filter(near)).group_by("group").agg(SIZE.alias("bytes"))
        fresh = named.join(sizes, on="group").select(pl.col(name).cast(kind) for name, kind in LOWEST.items()).collect()
        self._lowest = self._first(pl.concat([self._lowest, fresh]).sort("seed", "group"))
        return fresh["group"].filter(fresh["group"].is_in(self._lowest["group"].implode()))

    def _first(self, ranked: pl.DataFrame) -> pl.DataFrame:
        """Those that stay; the last seed is moved up to theirs where some do not."""
        if isinstance(self._keep, int):
            count = self._keep
        else:
            sizes = ranked["bytes"].to_numpy()
            count = int((np.cumsum(sizes) - sizes < ROOM).sum())
        if count < len(ranked):
            self._last = ranked["seed"][count - 1] if count else -1.0
        return ranked[:count]

    def rows(self, table: pl.DataFrame) -> pl.DataFrame:
        """Those of the groups that stay, with the columns of `table`."""
        return pl.concat([table.clear(), self._staying().collect()], how="diagonal_relaxed")

    def table(self, samples: pl.DataFrame) -> pl.LazyFrame:
        """Canonical rollouts of the groups that stay, in the order in which they came.

        Args:
            samples: Rollouts of groups that travel already, and so are left out.
        """
        others = ~pl.col("group").is_in(samples["group"].unique().to_list())
        return pl.concat([samples.clear().lazy(), self._staying().filter(others)], how="diagonal_relaxed")

    def _staying(self) -> pl.LazyFrame:
        rows = self._rows.table_of({"group": pl.Int64()})
        if self._keep == "all":
            return rows
        return rows.filter(pl.col("group").is_in(self._lowest["group"].implode()))


def _of(table: pl.DataFrame, groups: pl.Series) -> pl.LazyFrame:
    return table.lazy().filter(pl.col("group").is_in(groups.implode()))


def checked_keep(keep: object) -> Keep:
    """How many groups keep their text, from a command line or a caller.

    Raises:
        UsageError: It is neither `all` nor a number from 0 on.
    """
    if keep is None or keep == "all":
        return keep  # ty: ignore[invalid-explicit-return]
    if isinstance(keep, int) and not isinstance(keep, bool) and keep >= 0:
        return keep
    if isinstance(keep, str) and keep.isascii() and keep.isdigit():
        return int(keep)
    raise UsageError(f"--keep-text (keep_text) is {keep!r}. Give a whole number from 0 on, or all.")
