"""The cells of a statistic in a table: its value with interval, what it is shown beside, and how the two compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..analysis.statistics import STATISTICS, SUMMARY, Section, Statistic
from ..analysis.verdict import ALPHA
from ..core.interval import FEW_CLUSTERS
from .amounts import amount, interval

BESIDE = {
    "permutation": "rewards permuted",
    "cross-prompt": "cross-prompt",
}  # what a null is called, by `Statistic.null`


class Rows(NamedTuple):
    """A small table among sentences.

    Attributes:
        columns: Heads; the first, of the names of rows, is empty where these are statistics.
        rows: One cell for each column.
    """

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def in_summary(*sections: Section) -> Iterator[Statistic]:
    """The statistics of sections of summary.json, all of them without arguments, in the order of the registry."""
    chosen = sections or SUMMARY
    return (one for one in STATISTICS.values() if one.section in chosen)


def entry(summary: Mapping[str, Any], one: Statistic) -> dict[str, Any] | None:
    """What summary.json says of a statistic: `mean`, `low`, `high` and its null; None where it is null."""
    section = summary[one.section]
    value = section if one.name == one.section else section[one.key]
    if value is not None and one.power is not None:
        value = value[f"{one.power:g}"]
    if value is not None and "observed" in value:  # beside its permutations it has no interval of its own
        return {"mean": value["observed"], "low": None, "high": None} | value
    return value


def beside(summary: Mapping[str, Any], one: Statistic, missing: str = "", *, sign: bool = True) -> str:
    """The null of a statistic with its 95 % range, with the sign of percent or without; `missing` where it has none."""
    if one.null == "permutation":
        return interval(entry(summary, one), share=one.share, null=True, missing=missing, sign=sign)
    if one.null == "cross-prompt":
        return interval(summary["baseline"][one.name], share=one.share, missing=missing, sign=sign)
    return missing


def without_range(values: Iterable[Mapping[str, Any] | None]) -> Iterator[str]:
    """Why some of these statistics have no range, in a sentence; nothing where all have one."""
    none = (value["n"] for value in values if value and value["low"] is None and "n" in value)
    few = sorted({n for n in none if n < FEW_CLUSTERS})
    if few:
        to = f" to {few[-1]:,}" if len(few) > 1 else ""
        problems = f"{few[0]:,}{to} problems" if to else amount(few[0], "problem")
        yield f"Where no range [ ] is given, the number is of {problems}; a range needs {FEW_CLUSTERS}."


def against_null(value: Mapping[str, Any]) -> str:
    """Where a statistic lies beside its permutation null, in words; nothing without a null.

    Its p decides where it has one, the same as in the verdict; else the 95 % range of the null.
    """
    low, high, p = value.get("null_low"), value.get("null_high"), value.get("p_value")
    if low is None or high is None:
        return ""
    more = value["mean"] > high if p is None else p <= ALPHA
    return "more than chance" if more else "less than chance" if value["mean"] < low else "no more than chance"
