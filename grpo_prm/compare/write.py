"""A comparison as files: JSON, CSV, LaTeX and the figure, in a folder that is written whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from ..analysis.ownership import is_comparison
from ..analysis.write import SUFFIXES, output_folder
from ..errors import UsageError
from ..figures import checked, run_comparison, save_figure, training_metrics
from ..figures.training_metrics import make_table
from ..json_text import json_text
from ..text.amounts import amount, first_of, listed, signed, span
from ..text.printable import printable
from ..text.sheet import as_csv
from .comparison import SHORT, Comparison, as_json, steps_table
from .latex_tables import latex_table

STEPS, METRICS = "steps.csv", "metrics.csv"
OURS = {
    *("comparison.json", "comparison.csv", "comparison.tex", STEPS, METRICS),
    *(f"figures/{name}.{suffix}" for name in ("run_comparison", "training_metrics") for suffix in SUFFIXES),
}


def write_comparison(
    comparison: Comparison, out: Path, *, venue: str = "column", formats: Iterable[str] = ("pdf", "png")
) -> None:
    """Write comparison.json, comparison.csv, comparison.tex, steps.csv and the figures with their data and captions.

    Where a run has metrics of its trainer, metrics.csv has all of them, and a figure those that are shown.

    Args:
        comparison: The comparison.
        out: The folder.
        venue: Of `figures.VENUES`.
        formats: Of `figures.FORMATS`.

    Raises:
        UsageError: The folder cannot be written, or another format or venue.
    """
    formats = checked(formats)
    # Both kinds of folder have `figures`, and writing replaces it whole.
    if (out / "summary.json").exists():
        raise UsageError(f"{out}: holds an analysis, whose figures would be lost. Give --out another folder.")
    drawn = run_comparison(_by_method(comparison, comparison.training), unit=comparison.compared.unit, venue=venue)
    metrics = make_table(comparison.joined.table, comparison.metrics.names)
    of_metrics = training_metrics(_by_method(comparison, metrics), venue=venue) if len(metrics) else None
    with output_folder(out, OURS, is_comparison) as folder:
        (folder / "comparison.json").write_text(comparison_text(comparison), encoding="utf-8")
        (folder / "comparison.csv").write_text(as_csv(comparison.table), encoding="utf-8")
        (folder / "comparison.tex").write_text(latex_table(comparison), encoding="utf-8")
        (folder / STEPS).write_text(as_csv(steps_table(comparison)), encoding="utf-8")
        figures, caption = folder / "figures", _caption(comparison)
        save_figure(drawn, comparison.training, figures, "run_comparison", formats, venue=venue, caption=caption)
        if of_metrics:
            (folder / METRICS).write_text(as_csv(comparison.joined.table), encoding="utf-8")
            caption = _caption_of_metrics(comparison, metrics)
            save_figure(of_metrics, metrics, figures, "training_metrics", formats, venue=venue, caption=caption)


def _by_method(comparison: Comparison, table: pl.DataFrame) -> pl.DataFrame:
    """What the figure draws: a run under its method, if methods tell all runs apart: a legend has no room for both."""
    methods = {run.name: run.method for run in comparison.compared.runs}
    if None in methods.values() or len(set(methods.values())) < len(methods):
        return table
    return table.with_columns(pl.col("run").replace(methods))


def _caption(comparison: Comparison) -> str:
    """One sentence: what is drawn, and the difference in reward."""
    first = comparison.compared.runs[0].name
    parts = [
        f"{row['run']} minus {first} {signed(row['difference'])} "
        f"{span(row['difference_low'], row['difference_high'])}".rstrip()
        for row in comparison.table.filter(statistic="reward").iter_rows(named=True)
        if row["difference"] is not None
    ]
    rewards = f"; mean reward, {first_of(parts, SHORT)}" if parts else ""
    runs = _runs([run.label for run in comparison.compared.runs])
    most = comparison.training["steps"].max()
    point = f"a window of {most} steps" if isinstance(most, int) and most > 1 else "a step"
    return printable(f"{runs} over training, with 95 % intervals over the problems of {point}{rewards}.")


def _caption_of_metrics(comparison: Comparison, drawn: pl.DataFrame) -> str:
    """One sentence: which metrics, of which runs, and whether they are means of several steps."""
    having = {name for name, files in comparison.joined.files.items() if files}
    runs = _runs([run.label for run in comparison.compared.runs if run.name in having])
    names = listed(list(comparison.metrics.names))
    most = max(drawn["steps"].to_list())
    windows = f"; where there are many, means of {most} values, the single ones faint" if most > 1 else ""
    bands = "; bands: their own 95 % intervals" if drawn["low"].count() else ""
    return printable(f"{names} of {runs} over training, as the trainers logged them{windows}{bands}.")


def _runs(labels: list[str]) -> str:
    """All of a few; of many their number and the first ones."""
    return listed(labels) if len(labels) <= SHORT else f"{amount(len(labels), 'run')} ({first_of(labels, SHORT)})"


def comparison_text(comparison: Comparison) -> str:
    """comparison.json as text; NaN has no place in it."""
    return json_text(as_json(comparison), indent=2) + "\n"
