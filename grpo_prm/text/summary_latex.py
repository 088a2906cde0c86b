"""The numbers of an analysis as a LaTeX table for a paper: value, interval, and the null that it is read beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .amounts import number, percent, span
from .cells import beside, entry, in_summary
from .latex import tex, tex_number


class Row(NamedTuple):
    """A line of the table; empty texts where there is nothing to put."""

    metric: str
    value: str
    interval: str
    null: str
    p: str


def rows(summary: Mapping[str, Any]) -> Iterator[Row]:
    """The lines of one log: every statistic of its summary that is not null.

    Args:
        summary: The content of summary.json.
    """
    for one in in_summary():
        # A table of a paper has no room for gaps; summary.json has their reasons.
        if (value := entry(summary, one)) is not None:
            # Percent stands once, with the name: then all numbers of the table look alike.
            title, written = (f"{one.title} (%)", percent) if one.share else (one.title, number)
            p = value.get("p_value")
            yield Row(
                title,
                written(value["mean"]),
                span(value["low"], value["high"], share=one.share),
                beside(summary, one, sign=False),
                "" if p is None else number(p),
            )


def latex(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """A `tabular` for a document with the package booktabs; several logs are blocks, one below the other.

    Args:
        summaries: Summary of each log by its name.
    """
    lines = [
        r"% Written by grpo-prm. Needs \usepackage{booktabs}. Intervals are 95 % over problems. The null is",
        "% mean and 95 % range with the rewards of distinct completions permuted in each group, p is one-sided; of",
        "% overlap the null is that of groups put together from different prompts.",
        r"\begin{tabular}{lrrrr}",
        r"\toprule",
        r"metric & value & 95 \% interval & null & $p$ \\",
        r"\midrule",
    ]
    for n, (name, summary) in enumerate(summaries.items()):
        if len(summaries) > 1:
            lines += [r"\midrule"] * bool(n) + [rf"\multicolumn{{5}}{{l}}{{{tex(name)}}} \\"]
        lines += [" & ".join([tex(row.metric), *map(_in_cell, row[1:])]) + r" \\" for row in rows(summary)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _in_cell(cell: str) -> str:
    """A number of the table; a range in braces, since a bracket after a line break would be its argument."""
    return f"{{{tex_number(cell)}}}" if cell.startswith("[") else tex_number(cell)
