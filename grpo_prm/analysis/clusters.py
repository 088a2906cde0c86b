"""Which groups are resampled together: the clusters of a table, known by names or, where they are many, by numbers.

Up to `BLOCKS` clusters are resampled one by one, in the order of their names. More fall into `BLOCKS` blocks by a hash
of their names, and the blocks are resampled (definitions: Intervals): so memory and time do not grow with a log.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import count

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Ints
from ..core.interval import BLOCKS, block_of
from .chunks import Parts, chunks
from .content import CONTENT

PROBLEM = ("prompt_key", "problem")  # a problem: the prompt, and the log's own key where it tells prompts apart
CLUSTER = ("run", *PROBLEM)  # groups of one problem are resampled together (definitions: Intervals)
ID = "cluster"  # column of the groups table: `cluster_ids` of `CLUSTER`
Ids = NDArray[np.uint64]


def cluster_ids(names: pl.DataFrame) -> pl.Series:
    """A number of 64 bits for each row of names, the same on every machine and in every log, shape (rows,), UInt64."""
    # Each name with its length, so that no two rows of names read alike; null is no name.
    columns = [pl.col(name).cast(pl.String) for name in names.columns]
    parts = [pl.format("{}:{}", name.str.len_bytes(), name).fill_null("-") for name in columns]
    texts = names.select(pl.concat_str(parts)).to_series()
    hashes = b"".join([blake2b(text.encode(), digest_size=8).digest() for text in texts.to_list()])
    return pl.Series(ID, np.frombuffer(hashes, "<u8"), pl.UInt64)


def without_file_names(names: pl.DataFrame) -> pl.DataFrame:
    """Names of groups, with `CONTENT`; the run is null where only a file names it."""
    return names.with_columns(run=pl.when(pl.col(CONTENT).is_null()).then("run"))


def stand_ins(groups: Parts) -> dict[str, int]:
    """What stands for the name of each run that only a file names: a number of 64 bits, the sum of its groups'."""
    sums: dict[str, int] = {}
    for chunk in chunks(groups, ("run", CONTENT)):
        of_files = chunk.filter(pl.col(CONTENT).is_not_null())
        for run, added in of_files.group_by("run").agg(pl.col(CONTENT).sum()).iter_rows():  # a sum modulo 2^64
            sums[run] = (sums.get(run, 0) + added) % 2**64
    # Copies of a run differ in their names alone, so which of them is which changes nothing.
    taken: set[int] = set()
    for run in sorted(sums):
        sums[run] = next(number for number in count(sums[run]) if number not in taken)
        taken.add(sums[run])
    return sums


def nameless(runs: Mapping[str, int], *, ids: bool = False) -> list[pl.Expr]:
    """Columns of a table with `stand_ins` in place of names: what orders clusters and, in `ID`, puts them in blocks.

    Args:
        runs: `stand_ins` of the groups of the whole log.
        ids: The table has `ID`, of `without_file_names`.
    """
    if not runs:
        return []
    number = pl.col("run").replace_strict(runs, default=0, return_dtype=pl.UInt64)
    run = pl.col("run").replace({run: f"{number:016x}" for run, number in runs.items()})
    return [run, *([pl.col(ID) ^ number] if ids else [])]


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters of a table.

    Attributes:
        columns: What `number` reads: `ID` where the table has it, else the columns that name them.
        known: `ID` of each cluster, and its `number` in the order of names, if they are few; else None.
        most: How many are few, a power of two: more fall into so many blocks.
    """

    columns: tuple[str, ...]
    known: pl.DataFrame | None
    most: int

    @property
    def rows(self) -> int:
        """Rows of sums over clusters: one for each, or one for each block."""
        return self.most if self.known is None else len(self.known)

    def number(self, table: pl.DataFrame) -> Ids:
        """The cluster of each row as a number, shape (rows,): in the order of names if they are few, else `ID`."""
        ids = ids_of(table, self.columns)
        if self.known is None:
            return ids
        return self.known["number"].to_numpy()[np.searchsorted(self.known[ID].to_numpy(), ids)]

    def row(self, numbers: Ids) -> Ints:
        """Where the sums of each cluster are added, shape (rows,): a row for each cluster, or for each block."""
        return numbers.astype(np.int64) if self.known is not None else block_of(numbers, self.most)


def ids_of(table: pl.DataFrame, names: Sequence[str] = CLUSTER) -> Ids:
    """`ID` of each row, shape (rows,): the column where the table has that of `CLUSTER`, else made of the names."""
    if ID in table.columns and tuple(names) in (CLUSTER, (ID,)):
        return table[ID].to_numpy()
    rows = table.select(names)
    distinct = rows.unique(maintain_order=True)
    known = distinct.with_columns(cluster_ids(distinct))
    return rows.join(known, on=list(names), how="left", nulls_equal=True, maintain_order="left")[ID].to_numpy()


def find_clusters(table: Parts | pl.DataFrame, names: Sequence[str] = CLUSTER, most: int = BLOCKS) -> Clusters:
    """The clusters of a table, which is read until there are too many to be kept by name.

    Args:
        table: The table, of a row or more.
        names: Columns that name them; it may have `ID`, which is that of `CLUSTER`.
        most: How many clusters are kept by name, a power of two.
    """
    first = table if isinstance(table, pl.DataFrame) else table[0].collect_schema()
    has = [ID] if ID in first and tuple(names) == CLUSTER else []
    columns = (*has, *names)
    read = tuple(has or names)
    found = pl.DataFrame(schema={ID: pl.UInt64})
    for chunk in chunks(table, columns):
        rows = chunk.with_columns(pl.Series(ID, ids_of(chunk, names))).unique(ID, keep="first")
        found = pl.concat([found, rows.join(found, on=ID, how="anti")], how="diagonal_relaxed")
        if len(found) > most:
            return Clusters(read, None, most)
    numbered = found.with_columns(number=pl.struct(names).rank("dense").cast(pl.UInt64) - 1)
    return Clusters(read, numbered.select(ID, "number").sort(ID), most)
