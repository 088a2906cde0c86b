"""The three answers at the top of the page: are step rewards more than luck, what would λ-GRPO change, what to do."""

from __future__ import annotations

from shlex import quote
from typing import Any, NamedTuple

from ..analysis.findings import EXAMPLES, concerned_by
from ..analysis.tables import Tables
from ..analysis.worst_groups import largest_first
from ..text.verdict import Finding, changes, findings, knows, no_finding, to_do

# What a finding that is about no group in particular is read from: the title of a section of the summary.
SECTIONS = {
    "sampler_gap": "What do the log-probabilities say?",
    "boilerplate": "Do completions overlap?",
    "low_reliability": "Do the branches say anything?",
}


class Shown(NamedTuple):
    """A finding: its code, the group of the page that shows it (None without one), the section with its numbers."""

    code: str
    finding: Finding
    group: int | None
    section: str | None


def example_groups(folder: Tables) -> dict[str, int]:
    """Code of a finding to its group; of codes that are about groups."""
    codes = [one["code"] for one in folder.summary["verdict"]["findings"] if one["code"] in EXAMPLES]
    return {code: int(largest_first(concerned_by(code, folder.groups), EXAMPLES[code])["group"][0]) for code in codes}


def answers(folder: Tables, trees: list[dict[str, Any]], *, running: bool = False) -> dict[str, Any]:
    """The `answers` with their questions, and `findings`, or what is said without one.

    Args:
        folder: Of the analysis.
        trees: Those of the page: only their groups can be shown.
        running: The folder is that of a log which grows: a command can show its trees, but nothing else.
    """
    summary, examples, in_page = folder.summary, example_groups(folder), {tree["group"] for tree in trees}
    codes = [one["code"] for one in summary["verdict"]["findings"]]
    groups = [group if (group := examples.get(code)) in in_page else None for code in codes]
    worded = findings(summary, quote(str(folder.path)))
    # Without a folder there is nothing that a command could read.
    readable = "" if folder.path is None else "grpo-prm tree " if running else "grpo-prm "
    worded = [one if readable and one.command.startswith(readable) else one._replace(command="") for one in worded]
    return {
        "answers": [knows(summary), changes(summary)],
        "to_do": to_do(summary["source"]),
        "no_finding": no_finding(summary),
        "findings": [
            Shown(code, finding, group, SECTIONS.get(code))
            for code, finding, group in zip(codes, worded, groups, strict=True)
        ],
    }
