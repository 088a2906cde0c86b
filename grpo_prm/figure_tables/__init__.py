"""The data of every figure, from the tables that `analyze` writes: what a figure draws, and its CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import polars as pl

from .by_depth import by_depth
from .by_k import by_k
from .by_position import by_position
from .by_size import by_size
from .distribution import over_groups
from .informativeness import informativeness
from .logs import Logs, Tables, together
from .over_training import over_training
from .tree import tree_boxes

__all__ = ["TABLES", "Logs", "Tables", "figure_tables", "reduced", "together"]

OVERLAP = ("path_depth", "intermediate_proportion")
DEFECTS = ("suppressed_good", "boosted_bad")
TABLES: dict[str, Callable[[Logs], pl.DataFrame]] = {
    "overlap_over_training": lambda logs: over_training(logs, OVERLAP, "baseline"),
    "overlap_over_groups": lambda logs: over_groups(logs.groups, logs.baseline),
    "overlap_by_k": by_k,
    "advantage_by_position": lambda logs: by_position(logs.process_steps),
    "contest_by_depth": by_depth,
    "informativeness": informativeness,
    "defects_over_training": lambda logs: over_training(logs, DEFECTS, "null"),
    "update_by_size": by_size,
    "group_tree": tree_boxes,
}


def figure_tables(
    *analyses: Tables, names: Iterable[str] = (), select: Iterable[str] | None = None, group: str | None = None
) -> dict[str, pl.DataFrame]:
    """Reduce the tables of one or more analyses to those that figures draw.

    Args:
        *analyses: Of `grpo_prm.analyze`, of `folder.read_folder`, or anything with their tables.
        names: Of the analyses; they take the place of the names of runs where two analyses share one.
        select: Names of the figures wanted; None: all.
        group: `[RUN:]STEP:KEY` of a sampled group of the first analysis, for `group_tree`; None: the worst, else the
            first.

    Returns:
        One table for each name, in the order of `grpo_prm.figures.FIGURES`; a log without the data gives a table
        without rows.

    Raises:
        UsageError: The analyses count different units, or none of the sampled groups has that name.
        KeyError: A name of `select` is not a figure.
    """
    return reduced(together(analyses, names, group), select)


def reduced(logs: Logs, select: Iterable[str] | None = None) -> dict[str, pl.DataFrame]:
    """The tables of `figure_tables` from analyses that have been put together."""
    wanted = TABLES if select is None else {name: TABLES[name] for name in TABLES if name in {*select}}
    if select is not None and (unknown := {*select} - {*TABLES}):
        raise KeyError(f"no figure is called {', '.join(sorted(unknown))}")
    return {name: table(logs) for name, table in wanted.items()}
