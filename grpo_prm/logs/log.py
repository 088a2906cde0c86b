"""What a format hands to the reader: a log, opened but not read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .columns.plan import Plan
from .options import ReadOptions
from .rows.records import Part
from .sources import Source


class Head(NamedTuple):
    """The start of a log, by which formats know it.

    Attributes:
        container: `jsonl`, `json`, `csv` or `parquet`.
        rows: The first rows as JSON values.
        name: The file, for messages.
        source: The file.
    """

    container: str
    rows: Sequence[Mapping[str, Any]]
    name: str
    source: Source

    def has(self, *columns: str) -> bool:
        """Does every one of the columns stand in one of the first rows?"""
        present = {key for row in self.rows for key in row}
        return present.issuperset(columns)


@dataclass(frozen=True, slots=True)
class Log:
    """The files of one run, ready to be read.

    Attributes:
        format: Name of the format.
        sources: The files.
        plan: What the columns mean, and how rows are grouped.
        parts: Starts to read from the top; called twice where a log is not in order.
    """

    format: str
    sources: tuple[Source, ...]
    plan: Plan
    parts: Callable[[], Iterator[Part]]


class Format(NamedTuple):
    """A way of writing rollouts down.

    Attributes:
        name: What `--format` calls it.
        detect: Whether a log is in this format, by the first rows of its first file.
        open: Opens the files of one run.
    """

    name: str
    detect: Callable[[Head], bool]
    open: Callable[[Sequence[Source], ReadOptions, Head], Log]
