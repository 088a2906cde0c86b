"""What limits the numbers of the page: rows left out, gaps in the steps, odd groups, how tokens were made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, NamedTuple

import polars as pl

from ..analysis.tables import Tables
from ..text.amounts import amount, percent
from ..text.wording import drawn_again, mismatch, mixed, no_logprobs
from .cut import one_line

NAMED = 5  # of steps, reasons and examples in a sentence
MUCH = 0.5  # share of groups of equal rewards from which it is a caution


class Caution(NamedTuple):
    """One sentence, and further ones that go into detail."""

    text: str
    details: list[str] = []  # noqa: RUF012 - never changed


def cautions(folder: Tables) -> list[Caution]:
    """Everything about this log that limits what its numbers mean, the gravest first."""
    counts, source = folder.summary["counts"], folder.summary["source"]
    mismatched = [Caution(mismatch(folder.summary))] if counts["advantage_mismatch"] else []
    return [
        *_rejected(folder.rejected, counts),
        *_steps(folder.groups),
        *_groups(counts),
        *mismatched,
        *_zero_variance(counts),
        *_units(source),
        *(Caution(note) for note in (*no_logprobs(folder.summary), *source["notes"])),
    ]


def _rejected(rejected: pl.LazyFrame, counts: dict[str, Any]) -> Iterator[Caution]:
    if not counts["rejected"]:
        return
    share = percent(counts["rejected"] / counts["rows_read"])
    yield Caution(
        f"{amount(counts['rejected'], 'row')} of {counts['rows_read']:,} ({share} %) could not be used: "
        "they are in no number.",
        _reasons(rejected.collect()),
    )


def _reasons(rows: pl.DataFrame) -> list[str]:
    """The commonest reasons, each with its count and first example."""
    common = (
        rows.with_columns(pl.col("field", "reason", "file").cast(pl.String).fill_null(""))
        .group_by("field", "reason", maintain_order=True)
        .agg(pl.len(), pl.col("file").first(), pl.col("line").first())
        .sort("len", descending=True, maintain_order=True)
    )
    reasons = [
        f"{amount(count, 'row')}: {field or 'row'}: {one_line(reason, 160)} (first: {_place(file, line)})"
        for field, reason, count, file, line in common.head(NAMED).iter_rows()
    ]
    more = len(common) - NAMED
    return [*reasons, f"and {amount(more, 'other reason')}; rejects.jsonl names every row."] if more > 0 else reasons


def _place(file: str, line: int | None) -> str:
    return file if line is None else f"{file}, line {line}"


def _steps(groups: pl.DataFrame) -> Iterator[Caution]:
    for (run,), of_run in groups.drop_nulls("step").group_by("run", maintain_order=True):
        sizes = dict(of_run.group_by("step").len().sort("step").iter_rows())
        of = f" of run {run}" if groups["run"].n_unique() > 1 else ""
        if gaps := missing_steps(list(sizes)):
            yield Caution(f"Training steps{of} are missing: {_listed(gaps)}. Perhaps a file of the log is missing.")
        # Only where most steps have the usual number: if sizes vary by design, a small step is no sign of a loss.
        usual = Counter(sizes.values()).most_common(1)[0][0]
        few = [f"{step} ({size})" for step, size in sizes.items() if size < usual]
        if few and len(few) <= len(sizes) / 2:
            yield Caution(
                f"Training steps{of} with fewer groups than the usual {usual:,}: {_listed(few)}. "
                "Perhaps a file was cut off, or one is missing."
            )


def missing_steps(steps: list[int]) -> list[int]:
    """Steps that are not there though their neighbours are, where the steps keep one distance.

    Args:
        steps: Ascending.

    Returns:
        The absent ones; none if most steps do not follow at the commonest distance, or a gap is no multiple of it.
    """
    distances = Counter(b - a for a, b in pairwise(steps))
    if not distances:
        return []
    # Logged every n-th step has gaps of n everywhere; only a gap that breaks the rhythm is a loss.
    usual, often = distances.most_common(1)[0]
    if often <= sum(distances.values()) / 2 or any(distance % usual for distance in distances):
        return []
    return [step for a, b in pairwise(steps) for step in range(a + usual, b, usual)]


def _listed(things: list[Any]) -> str:
    shown = ", ".join(str(thing) for thing in things[:NAMED])
    return shown if len(things) <= NAMED else f"{shown} and {len(things) - NAMED:,} more"


def _groups(counts: dict[str, Any]) -> Iterator[Caution]:
    size = counts["group_size"]
    if counts["groups_of_one"]:
        yield Caution(f"{amount(counts['groups_of_one'], 'group')} of one completion: left out of every number.")
    # Means over groups of several sizes mix numbers that grow with the size.
    if size["min"] != size["max"]:
        yield Caution(
            f"Groups are of {size['min']} to {size['max']} completions, mostly {size['mode']}: path depth and shared "
            "proportion grow with the size of a group."
        )
    if counts["groups_uneven"]:
        yield Caution(
            f"{amount(counts['groups_uneven'], 'group')} of another size than the usual one of the log are counted."
        )
    if counts["groups_split"]:
        yield Caution(
            f"{drawn_again(counts['groups_split'])}. Which rows belong to one draw was decided by their order in the "
            "file."
        )
    if counts.get("groups_prompts_differ"):
        yield Caution(mixed(counts["groups_prompts_differ"]))
    if counts["duplicates"]:
        share = percent(counts["duplicates"] / counts["completions"])
        yield Caution(
            f"{amount(counts['duplicates'], 'completion')} ({share} %) are equal to an earlier one of the same group: "
            "they overlap to the end."
        )


def _zero_variance(counts: dict[str, Any]) -> Iterator[Caution]:
    share = counts["groups_zero_variance"] / counts["groups"]
    if share >= MUCH:
        yield Caution(
            f"{percent(share)} % of the groups have equal rewards. They teach nothing, and everything about rewards "
            f"rests on the other {amount(counts['groups'] - counts['groups_zero_variance'], 'group')}."
        )


def _units(source: dict[str, Any]) -> Iterator[Caution]:
    if "pieces" in source["tokens_from"]:
        yield Caution(
            "The log has no token ids: overlap is counted in pieces of text (GPT-2 pre-tokenisation), which are "
            "coarser than the tokens of a model. analyze --tokenizer NAME_OR_PATH counts tokens."
        )
    if "tokenizer" in source["tokens_from"]:
        yield Caution(
            "The token ids were made again from text. A sampled sequence need not be what the tokenizer makes of its "
            "text, so overlap may differ a little from that of the sampled ids."
        )
