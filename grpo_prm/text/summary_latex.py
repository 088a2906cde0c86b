"""The numbers of an analysis as a LaTeX table for a paper: value, interval, and what chance or other prompts give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .amounts import interval, number, percent, span
from .latex import tex

OVERLAP = {
    "path_depth": ("path depth", False),
    "intermediate_proportion": ("intermediate proportion", True),
    "shared_proportion": ("shared proportion", True),
    "non_trivial": ("non-trivial trees", True),
    "identical_share": ("identical share", True),
}
PERMUTED = {"suppressed_good": "suppressed-good", "boosted_bad": "boosted-bad", "certain_share": "certain share"}
UPDATES = {"update_scale": "update scale", "update_norm": "update norm", "update_cosine": "update cosine"}


class Row(NamedTuple):
    """A line of the table; empty texts where there is nothing to say."""

    metric: str
    value: str
    interval: str
    beside: str


def rows(summary: Mapping[str, Any]) -> Iterator[Row]:
    """The lines of one log; what is null in its summary is left out.

    Args:
        summary: The content of summary.json.
    """
    overlap, baseline, defects = summary["overlap"], summary["baseline"], summary["defects"]
    for name, (label, share) in OVERLAP.items():
        if overlap[name] is not None:
            yield _row(label, overlap[name], share, interval(baseline.get(name), share=share, missing=""))
    if (found := summary["informativeness"]) is not None:
        beside = interval(found, null=True, missing="")
        p = f"p = {found['p_value']:.3g}"
        yield Row("mean |A| of intermediate steps", number(found["observed"]), p, beside)
    for name, label in PERMUTED.items():
        if (found := (defects | summary["prm"])[name]) is not None:
            yield _row(label, found, True, interval(found, share=True, null=True, missing=""))
    for value, label in ((summary["prm"]["contest"], "contest"), (defects["amplification"], "amplification")):
        if value is not None:
            yield _row(label, value, False)
    for name, label in UPDATES.items():
        for p, value in defects[name].items():
            if value is not None:
                yield _row(f"{label}, p = {p}", value, False)


def _row(label: str, value: Mapping[str, Any], share: bool, beside: str = "") -> Row:
    mean = f"{percent(value['mean'])} %" if share else number(value["mean"])
    return Row(label, mean, span(value["low"], value["high"], share=share), beside)


def latex(summaries: Mapping[str, Mapping[str, Any]]) -> str:
    """A `tabular` for a document with the package booktabs; several logs are blocks, one below the other.

    Args:
        summaries: Summary of each log by its name.
    """
    lines = [
        r"% Written by grpo-prm. Needs \usepackage{booktabs}. Intervals are 95 % over prompts (of non-trivial trees:",
        "% Wilson over groups); chance is mean and 95 % range with the rewards of each group dealt anew, and for",
        "% overlap what groups of different prompts give.",
        r"\begin{tabular}{lrrr}",
        r"\toprule",
        r"metric & value & 95 \% interval & chance \\",
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
