"""The folder of an analysis: written whole beside its place, then put there (docs/output.md)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from ..errors import UsageError
from ..files import atomic_folder, clear_away
from ..json_text import json_text
from .ownership import MARK, is_analysis, is_page, mark, pages_in, refuse_another_input, refuse_strangers
from .spill import ROW_GROUP
from .tables import ASKED_FOR, TABLES, Tables, table_of

FIGURES = (
    *("overlap_over_training", "overlap_over_groups", "overlap_by_k", "advantage_by_position", "contest_by_depth"),
    *("informativeness", "decided", "defects_over_training", "update_by_size", "group_tree"),
)  # of an analysis; `figures` itself would bring matplotlib with it
SUFFIXES = ("pdf", "png", "svg", "pgf", "csv", "txt")
PAGE = "report.html"
PAGES = "report"  # folder of pages
OURS = {
    *(f"{name}.parquet" for name in (*TABLES, *ASKED_FOR)),
    "chance.parquet",  # what permutations.parquet was called before
    "rejects.jsonl",
    "summary.json",
    MARK,
    "figures/summary.tex",
    *(f"figures/{name}.{suffix}" for name in FIGURES for suffix in SUFFIXES),
}


@contextmanager
def analysis_folder(out: Path, logs: Sequence[str], *, overwrite: bool = False) -> Generator[Path]:
    """`output_folder` of an analysis: that of another input is replaced only where it is asked for.

    Args:
        out: The folder.
        logs: What is analysed, as it is named.
        overwrite: Replace the analysis of another input.

    Raises:
        UsageError: `out` holds one, and as of `output_folder`.
    """

    def check() -> None:
        if not overwrite:
            refuse_another_input(out, logs)

    pages = {PAGE, *(f"{PAGES}/{name}" for name in pages_in(out / PAGES))}
    page = {name for name in pages if is_page(out / name)}  # of these numbers, so they go with them
    with output_folder(out, OURS | page, is_analysis, check) as folder:
        yield folder
        mark(folder, logs)


@contextmanager
def output_folder(
    out: Path,
    ours: Collection[str] = OURS,
    is_ours: Callable[[Path], bool] = is_analysis,
    check: Callable[[], None] | None = None,
) -> Generator[Path]:
    """Give an empty folder beside `out`; on success it takes the place of `out`, on any error it is removed.

    What was written to `out` before is replaced as a whole; files of others that lie there are kept.

    Args:
        out: The folder.
        ours: Names of what is replaced; those with a slash are of files in a folder (`atomic_folder`).
        is_ours: Whether we wrote a folder.
        check: Raises what else speaks against it, before and after the work.

    Raises:
        UsageError: `out` is a file, cannot be written, or cannot be replaced: a mount point, the working directory, a
            folder in which others gave names of ours.
    """
    out = out.resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file. Give --out the name of a folder.")
    if out.is_mount() or Path.cwd().is_relative_to(out):
        raise UsageError(f"{out}: is the working directory or a mount point. Give --out the name of a folder in it.")
    clear_away(out, ours)  # of an earlier process that was killed here

    def refuse() -> None:
        refuse_strangers(out, ours, is_ours)
        if check:
            check()

    refuse()
    with atomic_folder(out, ours) as staging:
        yield staging
        refuse()  # somebody may have written there since


def write_tables(analysis: Tables, folder: Path) -> None:
    """Write the tables as parquet, rejects.jsonl and summary.json into an empty folder."""
    for name in TABLES:
        _sink(table_of(analysis, name), folder / f"{name}.parquet")
    if analysis.states is not None:
        _sink(analysis.states, folder / "states.parquet")
    analysis.rejected.sink_ndjson(folder / "rejects.jsonl")
    (folder / "summary.json").write_text(summary_text(analysis), encoding="utf-8")


def _sink(table: pl.LazyFrame, path: Path) -> None:
    # polars holds a row group until it is full: of wide tables those of its own choice take hundreds of megabytes.
    table.sink_parquet(path, compression="zstd", row_group_size=ROW_GROUP)


def note_figures(analysis: Tables, folder: Path, failed: Mapping[str, str]) -> None:
    """Name the figures that could not be drawn in the notes of the summary, and write it again."""
    analysis.summary["notes"].update({f"figures.{name}": f"could not be drawn ({why})" for name, why in failed.items()})
    (folder / "summary.json").write_text(summary_text(analysis), encoding="utf-8")


def summary_text(analysis: Tables) -> str:
    """summary.json as text; NaN has no place in it."""
    return json_text(analysis.summary, indent=2) + "\n"
