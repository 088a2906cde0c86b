"""What λ-GRPO would change, in sentences and a table; of runs that λ-GRPO has trained: how far they are from GRPO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..analysis.statistics import Statistic
from ..core.defects import POWERS
from .amounts import interval
from .cells import Rows, entry, in_summary, without_range
from .verdict import GRPO, changes, other_methods


def change_title(source: dict[str, Any]) -> str:
    """Title of the section."""
    if other_methods(source):  # no `would`: the change has been made
        return "How far is λ-GRPO from GRPO here?"
    return "What would λ-GRPO change here?"


def change(summary: dict[str, Any]) -> Iterator[str | Rows]:
    """The answer of the verdict, and the numbers that it rests on for every power."""
    source, others = summary["source"], other_methods(summary["source"])
    if others:
        which, whose = ("This run was", "its") if len(source["runs"]) == 1 else ("Some of these runs were", "their")
        if len(source["runs"]) > 1 and all(source["methods"].get(run, GRPO) != GRPO for run in source["runs"]):
            which = "These runs were"
        yield f"{which} trained with {'; '.join(others)}. λ-GRPO is compared with GRPO on {whose} completions."
    measured = {f"λ-GRPO, p = {power:g}" for power in POWERS}
    if not others or (len(others) == 1 and others[0] in measured):  # else it would read as a verdict on these runs
        yield changes(summary).text
        yield "Tokens are counted as independent directions."
    families: dict[str, list[Statistic]] = {}
    for one in in_summary():
        if one.power is not None:
            families.setdefault(one.key, []).append(one)
    powers = [f"p = {one.power:g}" for one in next(iter(families.values()))]
    table = Rows(("", *(f"{power} [95 %]" for power in powers)), [])
    # One row for each family, its powers side by side.
    for family in families.values():
        table.rows.append((family[0].label, *(interval(entry(summary, one), share=one.share) for one in family)))
    yield table
    yield from without_range(entry(summary, one) for family in families.values() for one in family)
    for family in families.values():
        yield f"{family[0].label}: {family[0].definition}."
