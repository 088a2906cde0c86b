"""The folder of an analysis: written whole beside its place, then put there (docs/output.md)."""

from __future__ import annotations

import json
from collections.abc import Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import UsageError
from ..files import atomic_folder, clear_away
from .tables import TABLES, Tables

OURS = {
    *(f"{name}.parquet" for name in TABLES),
    "chance.parquet",  # what permutations.parquet was called before
    "rejects.jsonl",
    "summary.json",
    "figures",
    "report.html",
}


@contextmanager
def output_folder(out: Path, ours: Collection[str] = OURS) -> Generator[Path]:
    """Give an empty folder beside `out`; on success it takes the place of `out`, on any error it is removed.

    What was written to `out` before is replaced as a whole; files of others that lie there are kept.

    Args:
        out: The folder.
        ours: Names of what is replaced.

    Raises:
        UsageError: `out` is a file, cannot be written, or cannot be replaced: a mount point, the working directory.
    """
    out = out.resolve()
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file. Give --out the name of a folder.")
    if out.is_mount() or Path.cwd().is_relative_to(out):
        raise UsageError(f"{out}: is the working directory or a mount point. Give --out the name of a folder in it.")
    clear_away(out, ours)  # of an earlier process that was killed here
    with atomic_folder(out, ours) as staging:
        yield staging


def write_tables(analysis: Tables, folder: Path) -> None:
    """Write the tables as parquet, rejects.jsonl and summary.json into an empty folder."""
    for name in TABLES:
        getattr(analysis, name).lazy().sink_parquet(folder / f"{name}.parquet", compression="zstd")
    analysis.rejected.sink_ndjson(folder / "rejects.jsonl")
    (folder / "summary.json").write_text(summary_text(analysis), encoding="utf-8")


def note_figures(analysis: Tables, folder: Path, failed: Mapping[str, str]) -> None:
    """Name the figures that could not be drawn in the notes of the summary, and write it again."""
    analysis.summary["notes"].update({f"figures.{name}": f"could not be drawn ({why})" for name, why in failed.items()})
    (folder / "summary.json").write_text(summary_text(analysis), encoding="utf-8")


def summary_text(analysis: Tables) -> str:
    """summary.json as text; NaN has no place in it."""
    return json.dumps(analysis.summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
