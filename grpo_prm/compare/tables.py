"""A comparison as rows of text and as a LaTeX table: a row for each figure, each run beside the first."""

from __future__ import annotations

import re

from ..analysis.statistics import STATISTICS
from ..text.amounts import MISSING, number, percent, signed
from ..text.latex import tex, tex_number
from .comparison import Comparison
from .difference import COMPARED


def heads(comparison: Comparison) -> list[str]:
    """Column heads of `rows`."""
    first, *others = (run.name for run in comparison.compared.runs)
    return ["", first, *(head for name in others for head in (name, f"{name} - {first} [95 %]"))]


def rows(comparison: Comparison) -> list[list[str]]:
    """Methods, where any is known; then a row for each figure that any run has: its label, and the cells of every run.

    Shares are in percent and their differences in points. A difference whose interval leaves 0 outside has a star.
    """
    made = []
    runs = comparison.compared.runs
    if any(run.method for run in runs):
        first, *others = (run.method or "unknown" for run in runs)
        made.append(["method", first, *(cell for method in others for cell in (method, ""))])
    for name in COMPARED:
        of_runs = comparison.table.filter(statistic=name)
        # No run has it, as accuracy where rewards are graded: a row of dashes would say nothing.
        if of_runs["mean"].is_null().all():
            continue
        share, title = STATISTICS[name].share, STATISTICS[name].title
        # m is known only here: it is the size that all runs have.
        cells = [title.replace("@m", f"@{comparison.compared.m}")]
        for row in of_runs.iter_rows(named=True):
            cells.append(_value(row["mean"], share))
            if row["run"] != runs[0].name:
                cells.append(row["note"] or _difference(row, share))
        made.append(cells)
    return made


def reach_rows(comparison: Comparison) -> list[list[str]]:
    """When each run reaches the level: name, step, and from the first to the sure step by the 95 % interval."""
    labels = {run.name: run.label for run in comparison.compared.runs}
    made = []
    for one in comparison.reach.runs:
        step = f"not by step {one.last:,}" if one.step is None else f"step {one.step:,}"
        span = "too few problems for a range"
        if one.known:
            ends = (f"after {one.last:,}" if end is None else f"{end:,}" for end in (one.earliest, one.surely))
            span = f"[{', '.join(ends)}]"
        made.append([labels[one.run], step, span])
    return made


def latex_table(comparison: Comparison) -> str:
    """A booktabs table of `rows`, with its caption as a comment."""
    head, body = heads(comparison), rows(comparison)
    lines = [
        f"% {comparison.common.sentence}".replace("\n", " "),
        r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
        r"\toprule",
        " & ".join(tex(cell) for cell in head) + r" \\",
        r"\midrule",
        *(" & ".join(_maths(cell) for cell in row) + r" \\" for row in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _maths(cell: str) -> str:
    """Minus signs of numbers as such."""
    # A hyphen before a digit is a minus; in names of runs it stays a hyphen.
    return tex_number(cell) if re.match(r"[-+\d]", cell) else tex(cell)


def _value(value: float | None, share: bool) -> str:
    if value is None:
        return MISSING
    return f"{percent(value)} %" if share else number(value)


def _difference(row: dict[str, float | None], share: bool) -> str:
    if row["difference"] is None:
        return MISSING
    # Points: differences of percentages.
    scale = 100 if share else 1
    ends = (row["difference"], row["difference_low"], row["difference_high"])
    mean, low, high = ("" if end is None else signed(scale * end) for end in ends)
    # Without an interval the difference stands alone, and no star can be given.
    if not low:
        return mean
    star = " *" if _apart(row["difference_low"], row["difference_high"]) else ""
    return f"{mean} [{low}, {high}]{star}"


def _apart(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and (low > 0 or high < 0)
