"""Folders of `analyze` to files of figures: tables, drawings, captions, and the summary as a LaTeX table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ..analysis.folder import read_folder
from ..analysis.ownership import is_figure
from ..analysis.tables import Tables
from ..analysis.write import SUFFIXES
from ..errors import UsageError
from ..files import atomic
from ..text.summary_latex import latex
from . import FIGURES, captions, save, tables_of
from .logs import join_logs
from .saving import checked
from .venues import venue_of

TABLE = "summary.tex"


def plot(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    venue: str = "column",
    formats: Iterable[str] = ("pdf", "png"),
    select: Iterable[str] | None = None,
    group: str | None = None,
) -> list[Path]:
    """Draw the figures of one or more folders of `analyze`.

    Args:
        folders: Their runs are drawn over each other; the tree is of the first.
        out: Where the files go.
        venue: Of `figures.VENUES`.
        formats: Of `figures.FORMATS`.
        select: Names of figures; None: all.
        group: `[RUN:]STEP:KEY` of the tree; None: the worst.

    Returns:
        The files written.

    Raises:
        UsageError: An unknown venue, format, figure or group, a folder given twice, units that differ, or a file of
            others in `out` that would be lost.
        InputError: A folder cannot be read.
    """
    # All names before any folder is read, which may take a while.
    formats = checked(formats)
    venue_of(venue)
    if unknown := [name for name in select or () if name not in FIGURES]:
        raise UsageError(f"No figure is called {unknown[0]}. Choose from {', '.join(FIGURES)}.")
    _refuse_strangers(Path(out), select)
    analyses = [read_folder(folder) for folder in folders]
    return draw(analyses, out, names=folder_names(folders), venue=venue, formats=formats, select=select, group=group)


def _refuse_strangers(out: Path, select: Iterable[str] | None) -> None:
    """Refuse to write over files that are no figures of ours, nor their data or captions."""
    names = [f"{name}.{suffix}" for name in select or FIGURES for suffix in SUFFIXES]
    for file in (out / name for name in (*names, TABLE)):
        if file.exists() and not is_figure(file):
            raise UsageError(f"{file}: is no figure of grpo-prm, and would be lost. Give --out another folder.")


def draw(
    analyses: Sequence[Tables],
    out: str | Path,
    *,
    names: Iterable[str] = (),
    venue: str = "column",
    formats: Iterable[str] = ("pdf", "png"),
    select: Iterable[str] | None = None,
    group: str | None = None,
) -> list[Path]:
    """Draw the figures of analyses, with captions and summary.tex, as `plot` does; `names` as for `figure_tables`."""
    logs = join_logs(analyses, names, group)
    tables = tables_of(logs, select)
    sentences = captions(tables, logs.summaries, logs.unit)
    written = save(tables, out, formats, unit=logs.unit, venue=venue, captions=sentences)
    with atomic(Path(out, TABLE)) as part:
        part.write_text(latex(logs.summaries), encoding="utf-8")
    return [*written, Path(out, TABLE)]


def folder_names(folders: Sequence[str | Path]) -> list[str]:
    """Names of folders for a legend: without `.prm`, and with as much of the path as tells them apart."""
    paths = [Path(folder).resolve() for folder in folders]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]).removesuffix(".prm") for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
