"""Figures of a log or a run: each draws one table and computes nothing; `save` writes it with its data and caption.

`NAME(table, ax=None, *, unit="token", venue="column")` draws on the axes given, in whatever style is set, and returns
them; without axes it makes a figure of its own in the style of the venue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from .advantage import advantage_by_position
from .comparison import run_comparison
from .defects import defects_over_training
from .depth import contest_by_depth
from .informative import informativeness
from .overlap import overlap_over_groups, overlap_over_training
from .overlap_by_k import overlap_by_k
from .saving import FORMATS, checked, save_figure
from .size import update_by_size
from .style import Unit
from .training_curves import training_curves
from .tree import group_tree
from .venues import VENUES

__all__ = [
    "FIGURES",
    "FORMATS",
    "OF_A_RUN",
    "OF_RUNS",
    "VENUES",
    "Unit",
    "advantage_by_position",
    "checked",
    "contest_by_depth",
    "defects_over_training",
    "group_tree",
    "informativeness",
    "overlap_by_k",
    "overlap_over_groups",
    "overlap_over_training",
    "run_comparison",
    "save",
    "save_figure",
    "training_curves",
    "update_by_size",
]

Draw = Callable[..., Any]  # returns the axes that it drew on
FIGURES: dict[str, Draw] = {
    "overlap_over_training": overlap_over_training,
    "overlap_over_groups": overlap_over_groups,
    "overlap_by_k": overlap_by_k,
    "advantage_by_position": advantage_by_position,
    "contest_by_depth": contest_by_depth,
    "informativeness": informativeness,
    "defects_over_training": defects_over_training,
    "update_by_size": update_by_size,
    "group_tree": group_tree,
}
OF_A_RUN: dict[str, Draw] = {"training_curves": training_curves}  # of grpo_prm.train.record.curves_table
OF_RUNS: dict[str, Draw] = {"run_comparison": run_comparison}


def save(
    tables: Mapping[str, pl.DataFrame],
    folder: str | Path,
    formats: Iterable[str] = ("pdf", "png"),
    *,
    unit: Unit = "token",
    venue: str = "column",
    captions: Mapping[str, str] | None = None,
    dpi: int = 300,
) -> list[Path]:
    """Write every figure and, under the same name, its table as CSV and its caption; each file whole or not at all.

    Args:
        tables: Of `figure_tables.figure_tables` or `train.record.curves_table`; a name without a figure is an error.
        folder: Made if it is not there.
        formats: Of `FORMATS`.
        unit: What the axes count.
        venue: One of `VENUES`.
        captions: Sentence of each figure, of `captions.captions`.
        dpi: Dots per inch of PNG.

    Returns:
        The files written, in the order of `tables`.

    Raises:
        KeyError: A table that no figure draws.
        UsageError: Another format or venue, or `pgf` without a TeX.
    """
    formats, written = checked(formats), []
    for name, table in tables.items():
        drawn = (FIGURES | OF_A_RUN | OF_RUNS)[name](table, unit=unit, venue=venue)
        caption = (captions or {}).get(name)
        written += save_figure(drawn, table, folder, name, formats, venue=venue, caption=caption, dpi=dpi)
    return written
