"""Figures of a log or a run: one file a figure, with its table, its drawing and its caption; `FIGURES` lists them.

`NAME(table, ax=None, *, unit="token", venue="column")` draws on the axes given, in whatever style is set, and returns
them; without axes it makes a figure of its own in the style of the venue. `figure_tables` makes the tables, `save`
writes figures with their data and captions.

To add a figure: a file NAME.py with `make_table`, the drawing `NAME`, `make_caption` and `FIGURE`; here its two imports
and its place in `FIGURES`. A drawing is called like its file: the imports below bind `figures.NAME` to the drawing for
good, since a file is bound to its name only when it is first loaded; `from .NAME import ...` still reaches the file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import polars as pl

from ..analysis.tables import Tables
from ..text.amounts import first_of
from .advantage_by_position import FIGURE as ADVANTAGE_BY_POSITION
from .advantage_by_position import advantage_by_position as advantage_by_position
from .comparison import run_comparison as run_comparison
from .contest_by_depth import FIGURE as CONTEST_BY_DEPTH
from .contest_by_depth import contest_by_depth as contest_by_depth
from .decided import FIGURE as DECIDED
from .decided import decided as decided
from .defects_over_training import FIGURE as DEFECTS_OVER_TRAINING
from .defects_over_training import defects_over_training as defects_over_training
from .figure import Captioned, Draw, LogFigure, Summaries
from .group_tree import FIGURE as GROUP_TREE
from .group_tree import group_tree as group_tree
from .informativeness import FIGURE as INFORMATIVENESS
from .informativeness import informativeness as informativeness
from .logs import Logs, join_logs
from .names import names_note
from .overlap_by_k import FIGURE as OVERLAP_BY_K
from .overlap_by_k import overlap_by_k as overlap_by_k
from .overlap_over_groups import FIGURE as OVERLAP_OVER_GROUPS
from .overlap_over_groups import overlap_over_groups as overlap_over_groups
from .overlap_over_training import FIGURE as OVERLAP_OVER_TRAINING
from .overlap_over_training import overlap_over_training as overlap_over_training
from .phrases import NAMED, log_size
from .saving import FORMATS as FORMATS
from .saving import checked
from .saving import save_figure as save_figure
from .style import Unit as Unit
from .training_curves import training_curves as training_curves
from .training_metrics import training_metrics as training_metrics
from .update_by_size import FIGURE as UPDATE_BY_SIZE
from .update_by_size import update_by_size as update_by_size
from .venues import VENUES as VENUES

FIGURES: dict[str, LogFigure] = {
    figure.name: figure
    for figure in (
        OVERLAP_OVER_TRAINING,
        OVERLAP_OVER_GROUPS,
        OVERLAP_BY_K,
        ADVANTAGE_BY_POSITION,
        CONTEST_BY_DEPTH,
        INFORMATIVENESS,
        DECIDED,
        DEFECTS_OVER_TRAINING,
        UPDATE_BY_SIZE,
        GROUP_TREE,
    )
}
OF_RUNS: dict[str, Draw] = {
    "training_curves": training_curves,
    "run_comparison": run_comparison,
    "training_metrics": training_metrics,
}


def figure_tables(
    *analyses: Tables, names: Iterable[str] = (), select: Iterable[str] | None = None, group: str | None = None
) -> dict[str, pl.DataFrame]:
    """Reduce the tables of one or more analyses to those that figures draw.

    Args:
        *analyses: Of `grpo_prm.analyze` or `grpo_prm.open`.
        names: Of the analyses; they take the place of the names of runs where two analyses share one.
        select: Names of the figures wanted; None: all.
        group: `[RUN:]STEP:KEY` of a sampled group of the first analysis, for `group_tree`; None: the worst, else the
            first.

    Returns:
        One table for each name, in the order of `FIGURES`; a log without the data gives a table without rows.

    Raises:
        UsageError: The analyses count different units, or none of the sampled groups has that name.
        KeyError: A name of `select` is not a figure.
    """
    return tables_of(join_logs(analyses, names, group), select)


def tables_of(logs: Logs, select: Iterable[str] | None = None) -> dict[str, pl.DataFrame]:
    """The tables of `figure_tables` from analyses that have been joined."""
    wanted = FIGURES if select is None else {name: FIGURES[name] for name in FIGURES if name in {*select}}
    if select is not None and (unknown := {*select} - {*FIGURES}):
        raise KeyError(f"no figure is called {', '.join(sorted(unknown))}")
    return {name: figure.table(logs) for name, figure in wanted.items()}


def captions(tables: Mapping[str, pl.DataFrame], summaries: Summaries, unit: str) -> dict[str, str]:
    """One sentence for each figure: what is shown, the numbers it comes to, and of how much.

    Args:
        tables: Of `figure_tables`.
        summaries: Summary of each log that they are of, by its name (`Logs.summaries`).
        unit: What is counted: `token`, `piece` or `unit`.

    Returns:
        Name of the figure to its caption: plain text on one line. What is not known is left out or named as such, never
        a NaN.
    """
    sizes = [log_size(name, summary, unit) for name, summary in summaries.items()]
    shown = {name: sizes[:1] if name == GROUP_TREE.name else sizes for name in tables}  # a tree is of the first log
    return {
        name: " ".join(FIGURES[name].caption(Captioned(table, summaries, unit)).split())
        + names_note(table["run"].unique().sort().to_list())
        + f"; {first_of(shown[name], NAMED, 'log', '; ')}."
        for name, table in tables.items()
    }


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
        tables: Of `figure_tables` or `train.record.curves_table`; a name without a figure is an error.
        folder: Made if it is not there.
        formats: Of `FORMATS`.
        unit: What the axes count.
        venue: One of `VENUES`.
        captions: Sentence of each figure, of the function `captions`.
        dpi: Dots per inch of PNG.

    Returns:
        The files written, in the order of `tables`.

    Raises:
        KeyError: A table that no figure draws.
        UsageError: Another format or venue, or `pgf` without a TeX.
    """
    formats, written = checked(formats), []
    draw = {name: figure.draw for name, figure in FIGURES.items()} | OF_RUNS
    for name, table in tables.items():
        drawn = draw[name](table, unit=unit, venue=venue)
        caption = (captions or {}).get(name)
        written += save_figure(drawn, table, folder, name, formats, venue=venue, caption=caption, dpi=dpi)
    return written
