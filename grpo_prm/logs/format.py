"""What a format is: a name, how it knows a log, and how it opens one. A log that is opened is not read yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from .columns.plan import Plan
from .options import ReadOptions
from .rows.records import RowBatch
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
        row_batches: Reads the log from the top; called a second time if its steps turn out not to be in order.
    """

    format: str
    sources: tuple[Source, ...]
    plan: Plan
    row_batches: Callable[[], Iterator[RowBatch]]


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
