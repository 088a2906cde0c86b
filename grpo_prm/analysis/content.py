"""What stands for the name of a run in every draw where only a file gives that name: what is in the groups.

A file can be renamed, and two runs of a sweep have the same steps and keys. So the seed of a group of theirs takes a
digest of its rows, which follows from the rows alone: neither their order nor batches, files or other runs change it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..core.draws import scrambled
from ..core.forest import Ints
from ..logs.rollouts import BY_FILE, group_opens

CONTENT = "digest of the group"  # column of tables, UInt64, null where the log names the run
EIGHTHS = 9  # places in a completion whose units are looked at, an eighth of it apart: all units of a short one
# Odd numbers of 64 bits: a sum of products with them tells apart whatever differs in one place.
FACTORS = scrambled(np.arange(1, EIGHTHS + 3, dtype=np.uint64)) | np.uint64(1)
Digests = NDArray[np.uint64]


def names_of(heads: pl.DataFrame) -> list[Iterable[object]]:
    """What names each group in every draw, column by column for `seeds.group_seeds`: its run, step and key.

    Args:
        heads: `run`, `step`, `group_key` and `CONTENT` of groups: the latter in place of the run where it is not null.
    """
    run: Iterable[object] = heads["run"].to_list()
    if heads[CONTENT].null_count() < len(heads):
        pairs = zip(run, heads[CONTENT].to_list(), strict=True)
        run = [name if content is None else content for name, content in pairs]
    return [run, heads["step"].to_list(), heads["group_key"].to_list()]


def with_content(table: pl.DataFrame) -> pl.DataFrame:
    """A canonical table with `CONTENT`; rows of a group are neighbours."""
    if CONTENT in table.columns:
        return table
    of_file = table["run_from"] == BY_FILE if "run_from" in table.columns else None
    if of_file is None or not of_file.any():
        return table.with_columns(pl.lit(None, pl.UInt64).alias(CONTENT))
    opens = group_opens(table)
    each = np.repeat(digests(table, opens), np.diff(opens, append=len(table)))
    return table.with_columns(pl.when(of_file).then(pl.Series(CONTENT, each)).alias(CONTENT))


def digests(table: pl.DataFrame, opens: Ints) -> Digests:
    """A number of 64 bits of each group, whatever the order of its rows: of their lengths, rewards and units.

    Args:
        table: Canonical rollouts; rows of a group are neighbours.
        opens: First row of each group.
    """
    # Without a reward the advantage takes its place, as in the analysis; 0.0 and -0.0 are one number.
    value = table.select(pl.coalesce("reward", "advantage").fill_null(0.0)).to_series().to_numpy() + 0.0
    rows = _units(table["tokens"]) + value.view(np.uint64) * FACTORS[-1]
    return scrambled(np.add.reduceat(scrambled(rows), opens))


def _units(lists: pl.Series) -> Digests:
    """A number for the length of each list, and for its values at `EIGHTHS` places."""
    lengths = lists.list.len().to_numpy().astype(np.int64)
    found = lengths.astype(np.uint64) * FACTORS[0]
    some = np.flatnonzero(lengths)
    flat = lists.list.explode(empty_as_null=False).to_numpy()
    begins, last = (np.cumsum(lengths) - lengths)[some], lengths[some] - 1
    values = np.zeros(len(some), np.uint64)
    for place, factor in enumerate(FACTORS[1 : 1 + EIGHTHS]):
        values += flat[begins + (last * place >> 3)].astype(np.uint64) * factor
    found[some] += values
    return found
