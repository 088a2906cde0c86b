"""How an analysis and a tree look: as text in a shell; `card` and `boxes` make the HTML of a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from ..analysis.statistics import Statistic
from ..text.amounts import MISSING, amount, interval, number
from ..text.cells import BESIDE, beside, entry, in_summary
from ..text.printable import printable
from ..text.verdict import findings
from ..text.wording import no_logprobs, sections
from ..tree.printed import render
from . import boxes

NAMED = 3  # groups that are named
METHODS = ".summary, .groups, .plot(NAME), .report(PATH), .save(PATH)"


@dataclass(frozen=True, slots=True, repr=False)
class Trees:
    """The trees of the groups with one name, mostly one.

    Attributes:
        groups: One dict each, as `grpo-prm tree --json` prints it.
    """

    groups: list[dict[str, Any]]

    def __repr__(self) -> str:
        # In a notebook rich would show an empty output beside.
        console = Console(markup=False, highlight=False, emoji=False, color_system=None, force_jupyter=False)
        with console.capture() as page:
            for group in self.groups:
                render(group, console)
                console.print()
        return "\n".join(line.rstrip() for line in page.get().rstrip().splitlines())

    def _repr_html_(self) -> str:
        return boxes.as_html(self.groups)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:  # noqa: ARG002
        return {"text/plain": repr(self), "text/html": self._repr_html_()}


def as_text(summary: dict[str, Any]) -> str:
    """The summary in ten lines: what was read, the numbers that have a comparison, the worst group, what can be done.

    What speaks against the numbers has a line more each: rejected rows, groups of several prompts, advantages that are
    not those of the rewards, and what was inferred; and so has each finding of the verdict.

    Args:
        summary: The content of summary.json.
    """
    (_, read), *_ = sections(summary)
    # Of what was given from memory there is no name, and `read` says what it was.
    name = f"{origin(summary)}: " if summary["source"]["files"] else ""
    lines = [printable(f"Analysis of {name}{read[0]}"), *(f"  {printable(line)}" for line in doubts(summary))]
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
    call = next(worst(summary), ".tree(NAME)")
    return "\n".join([*lines, f"{call}; {METHODS}"])


def _null(summary: dict[str, Any], one: Statistic) -> str:
    """The null of a statistic, and its p where it has one."""
    p = (entry(summary, one) or {}).get("p_value")
    return beside(summary, one, MISSING) + ("" if p is None else f", p = {number(p)}")


def doubts(summary: dict[str, Any]) -> Iterator[str]:
    """What may be wrong with the log or with how it was understood, each in a line."""
    counts, source = summary["counts"], summary["source"]
    if counts["rejected"]:
        yield f"{counts['rejected']:,} of {counts['rows_read']:,} rows rejected (.rejected says why)"
    if counts.get("groups_prompts_differ"):  # not in folders of older versions
        yield f"{amount(counts['groups_prompts_differ'], 'group')} of mixed prompts, counted all the same"
    if counts["advantage_mismatch"]:
        groups = amount(counts["advantage_mismatch"], "group")
        yield f"{groups} with logged advantages that the rewards do not give (std {source['options']['std']})"
    yield from no_logprobs(summary)
    yield from source["notes"]


def origin(summary: dict[str, Any]) -> str:
    """The file that was read, and how many more; of what came from memory that it was rollouts."""
    files = summary["source"]["files"]
    more = f" and {amount(len(files) - 1, 'more file')}" if files[1:] else ""
    return f"{files[0]}{more}" if files else "rollouts"


def worst(summary: dict[str, Any]) -> Iterator[str]:
    """The groups that show their suppressed-good tokens best, as the calls that draw them."""
    for group in summary["defects"]["worst_groups"]["examples"][:NAMED]:
        step = "-" if group["step"] is None else group["step"]
        run = f"{group['run']}:" if len(summary["source"]["runs"]) > 1 else ""
        share = f"{group['suppressed_good_tokens']:,} of {group['good_tokens']:,} good tokens pushed down"
        yield f".tree({run + str(step) + ':' + group['group_key']!r}): {share}"
