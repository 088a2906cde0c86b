"""How an analysis and a tree look in a shell and in a notebook. What a log says is text there, never markup."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from io import StringIO
from typing import Any

from rich.console import Console

from ..analysis.statistics import Statistic
from ..text.amounts import MISSING, amount, interval, number
from ..text.cells import BESIDE, Rows, beside, entry, in_summary
from ..text.printable import printable
from ..text.verdict import changes, findings, knows, no_finding
from ..text.wording import no_logprobs, sections
from ..tree.printed import render

NAMED = 3  # groups that are named
WIDTH = 100  # characters of a line of a tree in a notebook
CELL = "text-align: left; padding: 0 1.5em 0 0"
METHODS = ".summary, .groups, .plot(NAME), .report(PATH), .save(PATH)"


@dataclass(frozen=True, slots=True, repr=False)
class Trees:
    """The trees of the groups with one name, mostly one.

    Attributes:
        groups: One dict each, as `grpo-prm tree --json` prints it.
    """

    groups: list[dict[str, Any]]

    def __repr__(self) -> str:
        console = Console(markup=False, highlight=False, emoji=False, color_system=None)
        with console.capture() as page:
            self._render(console)
        return "\n".join(line.rstrip() for line in page.get().rstrip().splitlines())

    def _repr_html_(self) -> str:
        console = Console(file=StringIO(), markup=False, highlight=False, emoji=False, record=True, width=WIDTH)
        # rich escapes the text itself; colours are styles of spans.
        page = "<pre style='line-height: 1.25'>{code}</pre>"
        self._render(console)
        return console.export_html(inline_styles=True, code_format=page)

    def _render(self, console: Console) -> None:
        for group in self.groups:
            render(group, console)
            console.print()


def as_text(summary: dict[str, Any]) -> str:
    """The summary in ten lines: what was read, the numbers that have a comparison, the worst group, what can be done.

    What speaks against the numbers has a line more each: rejected rows, groups of several prompts, advantages that are
    not those of the rewards, and what was inferred; and so has each finding of the verdict.

    Args:
        summary: The content of summary.json.
    """
    (_, read), *_ = sections(summary)
    # Of what was given from memory there is no name, and `read` says what it was.
    name = f"{_files(summary)}: " if summary["source"]["files"] else ""
    lines = [printable(f"Analysis of {name}{read[0]}"), *(f"  {printable(line)}" for line in _doubts(summary))]
    # A number with nothing beside it to compare with says least; in a shell it is left out. Of overlap two are enough.
    rows = [
        (one.title, interval(entry(summary, one), share=one.share), BESIDE[one.null], _null(summary, one))
        for one in in_summary()
        if one.null == "permutation" or (one.null == "cross-prompt" and one.headline)
    ]
    width = [max(len(row[column]) for row in rows) for column in (0, 1)]
    for title, value, name, null in rows:
        lines.append(f"  {title:<{width[0]}}  {value:<{width[1]}}  {name} {null}")
    lines += [f"  To do: {printable(finding.sentence)}" for finding in findings(summary, "")]
    worst = next(_worst(summary), ".tree(NAME)")
    return "\n".join([*lines, f"{worst}; {METHODS}"])


def _null(summary: dict[str, Any], one: Statistic) -> str:
    """The null of a statistic, and its p where it has one."""
    p = (entry(summary, one) or {}).get("p_value")
    return beside(summary, one, MISSING) + ("" if p is None else f", p = {number(p)}")


def _doubts(summary: dict[str, Any]) -> Iterator[str]:
    """What may be wrong with the log or with how it was understood, each in a line."""
    counts, source = summary["counts"], summary["source"]
    if counts["rejected"]:
        yield f"{counts['rejected']:,} of {counts['rows_read']:,} rows rejected (.rejected says why)"
    if counts.get("groups_prompts_differ"):  # not in folders of older versions
        yield f"{amount(counts['groups_prompts_differ'], 'group')} with completions of different prompts"
    if counts["advantage_mismatch"]:
        groups = amount(counts["advantage_mismatch"], "group")
        yield f"{groups} with logged advantages that the rewards do not give (std {source['options']['std']})"
    yield from no_logprobs(summary)
    yield from source["notes"]


def as_html(summary: dict[str, Any]) -> str:
    """The summary as a piece of HTML without script: the three answers, the sections of the page, the worst groups."""
    parts = [f"<p><b>Analysis of {_shown(_files(summary))}</b></p>"]
    todo = [finding.sentence for finding in findings(summary, "")] or [no_finding(summary)]
    answers = [("Knows", [knows(summary)]), ("λ-GRPO", [changes(summary)]), ("To do", todo)]
    for title, body in (*answers, *sections(summary), ("Worst groups", list(_worst(summary)))):
        parts.append(f"<p style='margin: 1em 0 0.2em'><b>{_shown(title)}</b></p>")
        parts += [_html_table(part) if isinstance(part, Rows) else f"<div>{_shown(part)}</div>" for part in body]
    return f"<div style='max-width: 60em'>{''.join(parts)}</div>"


def _html_table(table: Rows) -> str:
    head = "".join(f"<th style='{CELL}'>{_shown(column)}</th>" for column in table.columns)
    rows = ("".join(f"<td style='{CELL}'>{_shown(cell)}</td>" for cell in row) for row in table.rows)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(text: str) -> str:
    return escape(printable(text))


def _files(summary: dict[str, Any]) -> str:
    files = summary["source"]["files"]
    more = f" and {len(files) - 1} more files" if files[1:] else ""
    return f"{files[0]}{more}" if files else "rollouts"


def _worst(summary: dict[str, Any]) -> Iterator[str]:
    """The groups that show their suppressed-good tokens best, as the calls that draw them."""
    for group in summary["defects"]["worst_groups"]["examples"][:NAMED]:
        step = "-" if group["step"] is None else group["step"]
        run = f"{group['run']}:" if len(summary["source"]["runs"]) > 1 else ""
        share = f"{group['suppressed_good_tokens']:,} of {group['good_tokens']:,} good tokens pushed down"
        yield f".tree({run + str(step) + ':' + group['group_key']!r}): {share}"
