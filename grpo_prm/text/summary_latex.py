"""The numbers of an analysis as a LaTeX table for a paper: value, interval, and the null that it is read beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .amounts import number, percent, span
from .cells import beside, entry, in_summary
from .latex import tex


class Row(NamedTuple):
    """A line of the table; empty texts where there is nothing to put."""

    metric: str
    value: str
    interval: str
    null: str


def rows(summary: Mapping[str, Any]) -> Iterator[Row]:
    """The lines of one log: every statistic of its summary that is not null.

    Args:
        summary: The content of summary.json.
    """
    for one in in_summary():
        # A table of a paper has no room for gaps; summary.json has their reasons.
        if (value := entry(summary, one)) is not None:
            mean = f"{percent(value['mean'])} %" if one.share else number(value["mean"])
            range95 = span(value["low"], value["high"], share=one.share)
            null = beside(summary, one)
            if value.get("p_value") is not None:
                null = f"{null}, p = {number(value['p_value'])}"
            yield Row(one.title, mean, range95, null)


def latex(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """A `tabular` for a document with the package booktabs; several logs are blocks, one below the other.

    Args:
        summaries: Summary of each log by its name.
    """
    lines = [
        r"% Written by grpo-prm. Needs \usepackage{booktabs}. Intervals are 95 % over problems. The null is",
        "% mean and 95 % range with the rewards of distinct completions permuted in each group, p is one-sided; of",
        "% overlap the null is that of groups put together from different prompts.",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"metric & value & 95 \% interval & null \\",
        r"\midrule",
    ]
    for n, (name, summary) in enumerate(summaries.items()):
        if len(summaries) > 1:
            lines += [r"\midrule"] * bool(n) + [rf"\multicolumn{{4}}{{l}}{{{tex(name)}}} \\"]
        # In braces: a line that begins with a bracket would be an argument of the line break above.
        lines += [
            " & ".join(f"{{{tex(cell)}}}" if cell.startswith("[") else tex(cell) for cell in row) + r" \\"
            for row in rows(summary)
        ]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
