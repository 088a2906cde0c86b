"""Folders of `analyze` to files of figures: tables, drawings, captions, and the summary as a LaTeX table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.exceptions import PanicException

from ..analysis.folder import read_folder
from ..analysis.ownership import is_figure
from ..analysis.tables import Tables
from ..analysis.write import SUFFIXES
from ..errors import FigureError, GrpoPrmError, UsageError
from ..files import atomic
from ..text.summary_latex import latex
from . import FIGURES, captions, save, tables_of
from .logs import join_logs
from .placing import all_at_once
from .saving import FORMATS, checked, venue_in
from .venues import venue_of

TABLE = "summary.tex"
Told = Callable[[int, int], None]


def plot(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    venue: str = "column",
    formats: Iterable[str] = ("pdf", "png"),
    select: Iterable[str] | None = None,
    group: str | None = None,
    told: Told | None = None,
) -> list[Path]:
    """Draw the figures of one or more folders of `analyze`.

    Args:
        folders: Their runs are drawn over each other; the tree is of the first.
        out: Where the files go.
        venue: Of `figures.VENUES`.
        formats: Of `figures.FORMATS`.
        select: Names of figures; None: all.
        group: `[RUN:]STEP:KEY` of the tree; None: the worst.
        told: Hears after each figure how many of how many are drawn.

    Returns:
        The files written.

    Raises:
        UsageError: An unknown venue, format, figure or group, a folder given twice, units that differ, a file of
            others in `out` that would be lost, or figures there of another venue that would be left.
        InputError: A folder cannot be read.
        FigureError: Some could not be drawn; all others are written.
    """
    # All names before any folder is read, which may take a while.
    formats = checked(formats)
    venue_of(venue)
    if unknown := [name for name in select or () if name not in FIGURES]:
        raise UsageError(f"No figure is called {unknown[0]}. Choose from {', '.join(FIGURES)}.")
    _refuse_strangers(Path(out), select)
    _refuse_two_venues(Path(out), venue, select)
    analyses = [read_folder(folder) for folder in folders]
    failed: dict[str, str] = {}  # one figure that fails does not take the others with it
    names = folder_names(folders)
    with all_at_once(Path(out)) as new:
        written = draw(
            analyses,
            new,
            names=names,
            venue=venue,
            formats=formats,
            select=select,
            group=group,
            failed=failed,
            told=told,
        )
        for file in _of_other_venues(new, venue):  # of other formats
            file.unlink()
    if failed:
        raise FigureError(not_drawn(failed))
    return [Path(out, file.name) for file in written]


def _refuse_strangers(out: Path, select: Iterable[str] | None) -> None:
    """Refuse to write over files that are no figures of ours, nor their data or captions."""
    names = [f"{name}.{suffix}" for name in select or FIGURES for suffix in SUFFIXES]
    for file in (out / name for name in (*names, TABLE)):
        if file.exists() and not is_figure(file):
            raise UsageError(f"{file}: is no figure of grpo-prm, and would be lost. Give --out another folder.")


def other_venues(out: Path, venue: str) -> list[str]:
    """The venues, but this one, that figures of ours in a folder are for."""
    return sorted({venue_in(file) or "another venue" for file in _of_other_venues(out, venue)})


def _of_other_venues(out: Path, venue: str) -> list[Path]:
    files = sorted(out.iterdir()) if out.is_dir() else []
    ours = [file for file in files if file.suffix[1:] in FORMATS and file.is_file() and is_figure(file)]
    return [file for file in ours if venue_in(file) != venue]


def _refuse_two_venues(out: Path, venue: str, select: Iterable[str] | None) -> None:
    """Refuse to leave figures of another venue beside those that are drawn: all are replaced, or none."""
    # Two widths and typefaces in one folder would go into one paper unseen.
    drawn = set(FIGURES if select is None else select)
    if left := [file for file in _of_other_venues(out, venue) if file.stem not in drawn]:
        was = venue_in(left[0]) or "another venue"
        instead = "" if select is None else ", or draw all: leave --select out"
        raise UsageError(
            f"{left[0]}: is for {was}, and would stand beside {venue}. Give --out another folder{instead}."
        )


def draw(
    analyses: Sequence[Tables],
    out: str | Path,
    *,
    names: Iterable[str] = (),
    venue: str = "column",
    formats: Iterable[str] = ("pdf", "png"),
    select: Iterable[str] | None = None,
    group: str | None = None,
    failed: dict[str, str] | None = None,
    told: Told | None = None,
) -> list[Path]:
    """Draw the figures of analyses, with captions and summary.tex, as `plot` does.

    Args:
        analyses: Of `grpo_prm.analyze` or `grpo_prm.open`.
        out: Where the files go.
        names: As for `figure_tables`.
        venue: As for `plot`.
        formats: As for `plot`.
        select: As for `plot`.
        group: As for `plot`.
        failed: Gets why a figure could not be drawn, by its name: the others are drawn. None: the error is raised.
        told: As for `plot`.

    Returns:
        The files written.
    """
    logs = join_logs(analyses, names, group)  # refuses units that differ, before anything is written
    tables: dict[str, pl.DataFrame] = {}
    written: list[Path] = []

    def make(name: str) -> None:
        tables.update(tables_of(logs, [name]))

    def write(name: str) -> None:
        table = {name: tables[name]}
        sentences = captions(table, logs.summaries, logs.unit)
        written.extend(save(table, out, formats, unit=logs.unit, venue=venue, captions=sentences))

    def write_summary(name: str) -> None:
        with atomic(Path(out, name)) as part:
            part.write_text(latex(logs.summaries), encoding="utf-8")
        written.append(Path(out, name))

    wanted = set(FIGURES if select is None else select)
    _each(make, [name for name in FIGURES if name in wanted], failed)  # all of them before any file is written
    _each(write, list(tables), failed, told)
    _each(write_summary, [TABLE], failed)
    return written


def _each(
    job: Callable[[str], None], names: Sequence[str], failed: dict[str, str] | None, told: Told | None = None
) -> None:
    """Do a job for each figure; `failed` and `told` as for `draw`."""
    for done, name in enumerate(names, 1):
        try:
            job(name)
        except (GrpoPrmError, OSError):  # an option that cannot be meant, a full disk: so it would be with all others
            raise
        except (Exception, PanicException) as error:
            if failed is None:
                raise
            failed[name] = " ".join(f"{type(error).__name__}: {error}".split())[:160]  # one line of a terminal or two
        if told:
            told(done, len(names))


def not_drawn(failed: Mapping[str, str]) -> str:
    """Which figures are missing, and why."""
    listed = "; ".join(f"{name} ({why})" for name, why in failed.items())
    are = "1 figure could not be drawn" if len(failed) == 1 else f"{len(failed)} figures could not be drawn"
    return f"{are}: {listed}. All numbers and the other figures are written; this is a bug: please report it."


def folder_names(folders: Sequence[str | Path]) -> list[str]:
    """Names of folders for a legend: without `.prm`, and with as much of the path as tells them apart."""
    paths = [Path(folder).resolve() for folder in folders]
    # a/run.prm and b/run.prm need two parts, and then all names have two.
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]).removesuffix(".prm") for path in paths]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
