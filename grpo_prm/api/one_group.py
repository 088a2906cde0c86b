"""The rollouts of a group by its name: those that the analysis kept, else out of the log once more."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from ..analysis.inputs import fold_input
from ..analysis.tables import Tables
from ..errors import GrpoPrmError, UsageError
from ..logs import ReadOptions
from ..logs.rollouts import Rollouts
from ..text.printable import printable
from ..tree.view import find_groups

KEPT_NAMED = 5  # groups with text that a message names


def rollouts_of(tables: Tables, name: str, log: Any, reading: ReadOptions | None) -> list[pl.DataFrame]:
    """Collect the groups of an analysis called `[RUN:]STEP:KEY`.

    Args:
        tables: The analysis.
        name: Of the group; several groups have it if runs share it or a prompt was drawn more than once.
        log: What was analysed; None: the files that the summary names.
        reading: How to read it.

    Returns:
        Canonical rollouts, one table for each group. Under `std="batch"` the advantages are those that the analysis
        used, since one group does not tell the divisor.

    Raises:
        UsageError: No group has the name; or its rollouts were not kept, and the log is gone or has changed.
    """
    if not isinstance(name, str):
        raise UsageError(f"A group is called by a text, not by a {type(name).__name__}. Write [RUN:]STEP:KEY.")
    # The groups table has the columns by which groups are found, so every group is known, kept or not.
    wanted = {group["group"].item(): group for group in find_groups([Rollouts(tables.groups)], [name])}
    kept = _by_group(tables.samples.drop("kind"), wanted)
    if missing := wanted.keys() - kept.keys():
        kept |= _by_group(tables.texts.filter(pl.col("group").is_in(list(missing))).collect(), missing)
    if missing := wanted.keys() - kept.keys():
        if log is None:
            log, reading = _files(tables, name)
        try:
            kept |= fold_input(log, reading, lambda batches, _: _collected(batches, missing))
        except GrpoPrmError as error:
            raise UsageError(f"{printable(name)}: its rollouts were not kept. {error} {_kept(tables)}") from None
    for group, row in wanted.items():
        if group not in kept or not _same(kept[group], row):
            raise UsageError(f"{printable(name)}: the log has changed since it was analysed. Analyse it again.")
        # Files that were found in a folder are read one by one here, and then name their runs otherwise.
        kept[group] = kept[group].with_columns(run=pl.lit(row["run"].item()))
    if tables.summary["source"]["options"]["std"] == "batch":
        return [_with_advantages(tables, group, kept[group]) for group in wanted]
    return [kept[group] for group in wanted]


def _by_group(table: pl.DataFrame, groups: Iterable[int]) -> dict[int, pl.DataFrame]:
    hit = table.filter(pl.col("group").is_in(list(groups)))
    return {group: part for (group,), part in hit.group_by("group", maintain_order=True)}


def _collected(batches: Iterable[Rollouts], groups: Iterable[int]) -> dict[int, pl.DataFrame]:
    """The groups out of a log. It is read to its end: only then is it known that no step came back."""
    kept: dict[int, pl.DataFrame] = {}
    for batch in batches:
        kept |= _by_group(batch.table, groups)
    return kept


def _files(tables: Tables, name: str) -> tuple[list[str], ReadOptions]:
    """The files of an analysis that was opened, and how they were read, as its summary has it."""
    source, options = tables.summary["source"], tables.summary["source"]["options"]
    files = source["files"]
    if not files or not all(Path(file).is_file() for file in files):
        where = f"its log ({', '.join(map(printable, files[:3]))}) is not here" if files else "it came without a log"
        raise UsageError(f"{printable(name)}: its rollouts were not kept, and {where}. {_kept(tables)}")
    # Files that were found in a folder say nothing of it: the name of the run is given, where it is one.
    run = source["runs"][0] if len(source["runs"]) == 1 else None
    return files, ReadOptions(**{key: value for key, value in options.items() if key not in _OF_MEASURING}, run=run)


_OF_MEASURING = ("std", "advantage", "seed", "outcome")  # options of an analysis; all others are of reading


def _kept(tables: Tables) -> str:
    """The groups that travel with the analysis, some by name."""
    heads = tables.samples.unique("group", keep="first", maintain_order=True)
    if heads.is_empty():
        return "No group was kept."
    step = pl.col("step").cast(pl.String).fill_null("-")
    names = heads.select(pl.concat_str(step, pl.lit(":"), "group_key")).to_series().head(KEPT_NAMED).to_list()
    more = f" and {len(heads) - len(names)} more (analysis.samples)" if len(heads) > len(names) else ""
    return f"Kept are {', '.join(map(printable, names))}{more}."


def _same(table: pl.DataFrame, row: pl.DataFrame) -> bool:
    """Whether a group that was read again is the one that was analysed."""
    mean, was = table["reward"].mean() if not table["reward"].null_count() else None, row["reward_mean"].item()
    alike = mean is was if mean is None or was is None else math.isclose(float(mean), was, rel_tol=1e-9, abs_tol=1e-12)  # ty: ignore[invalid-argument-type]
    names = ["step", "group_key"]
    return alike and len(table) == row["k"].item() and table[names].row(0) == row[names].row(0)


def _with_advantages(tables: Tables, group: int, table: pl.DataFrame) -> pl.DataFrame:
    """Put the advantages that the analysis used in place of the logged ones."""
    used = tables.completions.filter(pl.col("group") == group).select("sample", "advantage").collect()
    return table.drop("advantage").join(used, on="sample", how="left", maintain_order="left").select(table.columns)
