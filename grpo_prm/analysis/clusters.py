"""Which groups are resampled together: the clusters of a table, known by names or, where they are many, by numbers.

Up to `BLOCKS` clusters are resampled one by one, in the order of their names. More fall into `BLOCKS` blocks by a hash
of their names, and the blocks are resampled (definitions: Intervals): so memory and time do not grow with a log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.forest import Ints
from ..core.interval import BLOCKS, block_of
from .chunks import chunks

PROBLEM = ("prompt_key", "problem")  # a problem: the prompt, and the log's own key where it tells prompts apart
CLUSTER = ("run", *PROBLEM)  # groups of one problem are resampled together (definitions: Intervals)
ID = "cluster"  # column of the groups table: `cluster_ids` of `CLUSTER`
NUMBER = "cluster_number"  # column put beside it: `Clusters.number`
Ids = NDArray[np.uint64]


def cluster_ids(names: pl.DataFrame) -> pl.Series:
    """A number of 64 bits for each row of names, the same on every machine and in every log, shape (rows,), UInt64."""
    ids = [_hashed(row) for row in names.iter_rows()]
    return pl.Series(ID, ids, pl.UInt64)


def _hashed(names: tuple[object, ...]) -> int:
    digest = blake2b(digest_size=8)
    for name in names:
        # With its length, so that no two lists of names read alike; null is no name.
        text = b"" if name is None else str(name).encode()
        digest.update(b"%d:%s" % (-1 if name is None else len(text), text))
    return int.from_bytes(digest.digest(), "little")


@dataclass(frozen=True, slots=True)
class Clusters:
    """The clusters of a table.

    Attributes:
        names: Columns that name them.
        known: `ID` of each cluster, and its `number` in the order of names, if there are `BLOCKS` or fewer; else None.
    """

    names: tuple[str, ...]
    known: pl.DataFrame | None

    @property
    def columns(self) -> tuple[str, ...]:
        """What `number` reads; of the groups table, `ID` alone."""
        return (ID,) if self.names == CLUSTER else self.names

    @property
    def rows(self) -> int:
        """Rows of sums over clusters: one for each, or one for each block."""
        return BLOCKS if self.known is None else len(self.known)

    def number(self, table: pl.DataFrame) -> Ids:
        """The cluster of each row as a number, shape (rows,): in the order of names if they are few, else `ID`."""
        ids = ids_of(table, self.names)
        if self.known is None:
            return ids.to_numpy()
        at = np.searchsorted(self.known[ID].to_numpy(), ids.to_numpy())
        return self.known["number"].to_numpy()[at]

    def row(self, numbers: Ids) -> Ints:
        """Where the sums of each cluster are added, shape (rows,): a row for each cluster, or for each block."""
        return numbers.astype(np.int64) if self.known is not None else block_of(numbers)


def ids_of(table: pl.DataFrame, names: Sequence[str]) -> pl.Series:
    """`ID` of each row: the column where the table has it, else made of the names, each once."""
    if tuple(names) in (CLUSTER, (NUMBER,)) and ID in table.columns:
        return table[ID]
    rows = table.select(names)
    distinct = rows.unique(maintain_order=True)
    known = distinct.with_columns(cluster_ids(distinct))
    return rows.join(known, on=list(names), how="left", nulls_equal=True, maintain_order="left")[ID]


def find_clusters(parts: Sequence[pl.LazyFrame], names: Sequence[str] = CLUSTER) -> Clusters:
    """The clusters of a table, which is read until there are too many to be kept by name.

    Args:
        parts: The table.
        names: Columns that name them; `CLUSTER`: the table has `ID`, too.
    """
    names = tuple(names)
    columns = (ID, *names) if names == CLUSTER else names
    found = pl.DataFrame(schema={ID: pl.UInt64})
    for chunk in chunks(parts, columns):
        fresh = chunk.with_columns(ids_of(chunk, names)).unique(ID, keep="first").join(found, on=ID, how="anti")
        found = pl.concat([found, fresh], how="diagonal_relaxed")
        if len(found) > BLOCKS:
            return Clusters(names, None)
    numbered = found.with_columns(number=pl.struct(names).rank("dense").cast(pl.UInt64) - 1)
    return Clusters(names, numbered.select(ID, "number").sort(ID))
