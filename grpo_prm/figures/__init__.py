"""Figures of a log or a run: each draws one table and computes nothing; `save` writes it with its data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.figure import Figure

from ..atomic import atomic
from .advantage import advantage_by_position
from .defects import defects_over_training
from .overlap import overlap_over_groups, overlap_over_training
from .style import COLUMN, PAPER, Unit
from .training_curves import training_curves

__all__ = [
    "FIGURES",
    "OF_A_RUN",
    "advantage_by_position",
    "defects_over_training",
    "overlap_over_groups",
    "overlap_over_training",
    "save",
    "save_figure",
    "training_curves",
]

FIGURES: dict[str, Callable[..., Figure]] = {
    "overlap_over_training": overlap_over_training,
    "overlap_over_groups": overlap_over_groups,
    "advantage_by_position": advantage_by_position,
    "defects_over_training": defects_over_training,
}
OF_A_RUN: dict[str, Callable[..., Figure]] = {
    "training_curves": training_curves
}  # of grpo_prm.train.record.curves_table
# No dates and no versions in a file, so that equal data give equal bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": "grpo-prm", "Producer": None},
    "png": {"Software": "grpo-prm"},
    "svg": {"Date": None, "Creator": "grpo-prm"},
}


def save(
    tables: Mapping[str, pl.DataFrame],
    folder: str | Path,
    formats: Iterable[str] = ("pdf", "png"),
    *,
    unit: Unit = "token",
    width: float = COLUMN,
    dpi: int = 300,
) -> list[Path]:
    """Write every figure and, under the same name, its table as CSV; each file whole or not at all.

    Args:
        tables: Of `figure_tables.figure_tables` or `train.record.curves_table`; a name without a figure is an error.
        folder: Made if it is not there.
        formats: `pdf` (type 42 fonts), `png`, `svg`.
        unit: What the axes count: `token` or `piece`.
        width: Inches.
        dpi: Dots per inch of PNG.

    Returns:
        The files written, figures first in the order of `tables`, each followed by its CSV.

    Raises:
        KeyError: A table that no figure draws.
    """
    formats, written = tuple(formats), []
    for name, table in tables.items():
        figure = (FIGURES | OF_A_RUN)[name](table, unit=unit, width=width)
        written += save_figure(figure, table, folder, name, formats, dpi=dpi)
    return written


def save_figure(
    figure: Figure,
    table: pl.DataFrame,
    folder: str | Path,
    name: str,
    formats: Iterable[str] = ("pdf", "png"),
    *,
    dpi: int = 300,
) -> list[Path]:
    """Write one figure and, under the same name, its table as CSV; arguments and result as of `save`."""
    written = []
    for suffix in formats:
        with atomic(Path(folder, f"{name}.{suffix}")) as part, mpl.rc_context(PAPER):
            figure.savefig(part, format=suffix, dpi=dpi, metadata=_METADATA.get(suffix))
        written.append(Path(folder, f"{name}.{suffix}"))
    with atomic(Path(folder, f"{name}.csv")) as part:
        table.write_csv(part)
    return [*written, Path(folder, f"{name}.csv")]
