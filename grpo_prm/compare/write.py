"""A comparison as files: JSON, CSV, LaTeX, in a folder that is written whole."""

from __future__ import annotations

import json
from pathlib import Path

from ..write import output_folder
from .comparison import Comparison, as_json
from .tables import latex_table

OURS = ("comparison.json", "comparison.csv", "comparison.tex", "figures")


def write_comparison(found: Comparison, out: Path) -> None:
    """Write comparison.json, comparison.csv and comparison.tex.

    Raises:
        UsageError: The folder cannot be written.
    """
    with output_folder(out, OURS) as folder:
        (folder / "comparison.json").write_text(comparison_text(found), encoding="utf-8")
        found.table.write_csv(folder / "comparison.csv")
        (folder / "comparison.tex").write_text(latex_table(found), encoding="utf-8")


def comparison_text(found: Comparison) -> str:
    """comparison.json as text; NaN has no place in it."""
    return json.dumps(as_json(found), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
