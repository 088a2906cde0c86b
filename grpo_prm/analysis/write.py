"""The folder of an analysis: written whole beside its place, then put there (DESIGN: What the user sees)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from ..errors import UsageError
from ..files import UMASK
from .tables import TABLES, Tables

OURS = {
    *(f"{name}.parquet" for name in (*TABLES, "chance")),
    "rejects.jsonl",  # chance: an older name
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
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        if out.exists() and not os.access(out, os.W_OK):
            raise PermissionError(13, "Permission denied")
        staging = Path(mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise _unwritable(out, error) from None
    try:
        yield staging
        staging.chmod(0o777 & ~UMASK)
        try:
            _put(staging, out, ours)
        except OSError as error:
            raise _unwritable(out, error) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unwritable(out: Path, error: OSError) -> UsageError:
    return UsageError(f"{out}: cannot be written ({error.strerror}). Give --out another folder.")


def _put(staging: Path, out: Path, ours: Collection[str]) -> None:
    """Put the new folder in place; should that fail, the old one stays or comes back."""
    if not out.exists():
        os.replace(staging, out)
        return
    old = Path(mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
    try:
        os.replace(out, old)
    except OSError:
        old.rmdir()
        raise
    try:
        os.replace(staging, out)
    except BaseException:
        os.replace(old, out)
        raise
    for entry in old.iterdir():
        if entry.name not in ours:
            os.replace(entry, out / entry.name)
    shutil.rmtree(old)


def write_tables(analysis: Tables, folder: Path) -> None:
    """Write the tables as parquet, rejects.jsonl and summary.json into an empty folder."""
    for name in TABLES:
        getattr(analysis, name).lazy().sink_parquet(folder / f"{name}.parquet", compression="zstd")
    analysis.rejected.sink_ndjson(folder / "rejects.jsonl")
    (folder / "summary.json").write_text(summary_text(analysis), encoding="utf-8")


def summary_text(analysis: Tables) -> str:
    """summary.json as text; NaN has no place in it."""
    return json.dumps(analysis.summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
