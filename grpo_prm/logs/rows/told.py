"""What is done to single rows, counted while a log is read: sentences that are said once, each with its number."""

from __future__ import annotations

from collections.abc import Mapping

_THINGS = ("completion", "row")


def sentences(told: Mapping[str, int]) -> tuple[str, ...]:
    """The sentences, `{completions}` or `{rows}` in each replaced by its number: `1 row`, `1,204 rows`."""
    return tuple(_with_number(sentence, number) for sentence, number in told.items())


def _with_number(sentence: str, number: int) -> str:
    for thing in _THINGS:
        sentence = sentence.replace(f"{{{thing}s}}", f"{number:,} {thing}{'' if number == 1 else 's'}")
    return sentence
