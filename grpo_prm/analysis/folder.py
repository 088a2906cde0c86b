"""A folder that `analyze` wrote, read back: what figures, report and comparison are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from ..errors import InputError
from ..logs.rollouts import REJECTED
from .summary import SCHEMA_VERSION
from .tables import TABLES, Tables


def read_folder(path: str | Path) -> Tables:
    """Read the folder of an analysis.

    Args:
        path: What `grpo-prm analyze` printed as its folder.

    Returns:
        The tables as they were, those that may be large lazily from their files.

    Raises:
        InputError: It is not such a folder, a file of it is missing or cannot be read, or another version wrote it.
    """
    path = Path(path)
    summary = read_summary(path)
    if missing := [name for name in TABLES if not (path / f"{name}.parquet").is_file()]:
        raise InputError(f"{path}: {missing[0]}.parquet is missing. Write the folder again with grpo-prm analyze.")
    try:
        frames = {name: pl.scan_parquet(path / f"{name}.parquet") for name in TABLES}
        columns = frames["process_steps"].collect_schema().names()
        groups = frames["groups"].collect_schema().names()
        samples, permutations = frames["samples"].collect(), frames["permutations"].collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: a table cannot be read ({error}). Write it again with grpo-prm analyze.") from None
    if summary["schema_version"] != SCHEMA_VERSION or not _of_this_version(groups, columns):
        raise InputError(f"{path}: written by another version of grpo-prm. Write it again with grpo-prm analyze.")
    return Tables(
        summary=summary,
        path=path,
        lazy_groups=frames["groups"],
        lazy_training=frames["training"],
        lazy_baseline=frames["baseline"],
        samples=samples,
        texts=frames["texts"],
        completions=frames["completions"],
        process_steps=frames["process_steps"],
        permutations=permutations,
        lazy_subsamples=frames["subsamples"],
        decided=frames["decided"],
        rejected=_rejected(path / "rejects.jsonl"),
        states=pl.scan_parquet(states) if (states := path / "states.parquet").is_file() else None,
    )


def _of_this_version(groups: list[str], process_steps: list[str]) -> bool:
    """Whether the tables have the columns that tables of older versions lack."""
    return {"problem", "texts_squared_sum"} <= {*groups} and "unique" in process_steps


def _rejected(file: Path) -> pl.LazyFrame:
    """The rows that were left out; none where somebody took the file away."""
    return pl.scan_ndjson(file, schema=REJECTED) if file.is_file() else pl.LazyFrame(schema=REJECTED)


def read_summary(path: Path) -> dict[str, Any]:
    """Read summary.json of a folder; errors as of `read_folder`."""
    file = path / "summary.json"
    if not file.is_file():
        raise InputError(f"{path}: not a folder of grpo-prm analyze. Analyse the log first: grpo-prm analyze LOG.")
    try:
        summary = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{file}: not JSON ({error}). Write the folder again with grpo-prm analyze.") from None
    if not isinstance(summary, dict) or "schema_version" not in summary:
        raise InputError(f"{file}: not the summary of an analysis. Write the folder again with grpo-prm analyze.")
    return summary
