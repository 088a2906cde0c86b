"""A comparison as LaTeX: runs side by side, or where they are many as rows, in as many tables as the width needs."""

from __future__ import annotations

import re

from ..text.latex import tex, tex_number
from .comparison import Comparison
from .tables import SIDE_BY_SIDE, Sheet, as_rows, ranking_sheet, runs_sheet, shown_statistics, side_by_side

COLUMNS = 6  # statistics of a table whose rows are runs


def latex_table(comparison: Comparison) -> str:
    """Booktabs tables, one after the other, with what is compared as a comment."""
    if len(comparison.compared.runs) <= SIDE_BY_SIDE:
        sheets = [side_by_side(comparison)]
    else:
        names = shown_statistics(comparison)
        pages = [names[at : at + COLUMNS] for at in range(0, len(names), COLUMNS)]
        sheets = [runs_sheet(comparison), *(as_rows(comparison, page) for page in pages)]
    if comparison.ranking and len(comparison.compared.runs) > 2:
        sheets.append(ranking_sheet(comparison))
    sentence = comparison.common.sentence.replace("\n", " ")
    return f"% {sentence}\n" + "\n".join(map(_tabular, sheets))


def _tabular(sheet: Sheet) -> str:
    lines = [
        r"\begin{tabular}{l" + "r" * (len(sheet.heads) - 1) + "}",
        r"\toprule",
        " & ".join(tex(cell) for cell in sheet.heads) + r" \\",
        r"\midrule",
        *(" & ".join(_maths(cell) for cell in row) + r" \\" for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _maths(cell: str) -> str:
    """Minus signs of numbers as such."""
    # A hyphen before a digit is a minus; in names of runs it stays a hyphen.
    return tex_number(cell) if re.match(r"[-+\d]", cell) else tex(cell)
