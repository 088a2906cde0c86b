"""What a format is: a name, how it knows a log, and what the rows in its records are.

A record is what a container holds: one value of a line, of an array, of a table. Most formats write one completion a
record, and then a record is a row. A format that nests says with `flatten` which rows stand in a record: that is the
only place where its shape is known.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .columns.plan import Plan
from .options import ReadOptions
from .parts import Part
from .rows.records import RowBatch
from .rows.values import Bad
from .sources import Source

Row = dict[str, Any]  # one completion: column to JSON value, under canonical names where the format knows them


class Head(NamedTuple):
    """The start of a log, by which formats know it.

    Attributes:
        container: Name of the container: `jsonl`, `json`, `csv`, `parquet`, `arrow`, ...
        rows: The first records as JSON values; of a JSON file that is one object this object alone.
        name: The file, for messages.
        source: The file.
    """

    container: str
    rows: Sequence[Any]
    name: str
    source: Source

    def has(self, *columns: str) -> bool:
        """Does every one of the columns stand in one of the first records?"""
        present = {key for row in self.rows if isinstance(row, dict) for key in row}
        return present.issuperset(columns)


@dataclass(frozen=True, slots=True)
class Log:
    """The files of one run, ready to be read.

    Attributes:
        format: Name of the format.
        sources: The files.
        plan: What the columns mean, and how rows are grouped.
        row_batches: Reads the log from the top; called a second time if its steps turn out not to be in order.
        read_part: Reads a part of the log alone; None: its rows depend on those before.
        by_lines: A file may be cut between any two lines.
    """

    format: str
    sources: tuple[Source, ...]
    plan: Plan
    row_batches: Callable[[], Iterator[RowBatch]]
    read_part: Callable[[Part], Iterator[RowBatch]] | None = None
    by_lines: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """A way of writing rollouts down.

    Attributes:
        name: What `--format` calls it.
        detect: Whether a log is in this format, by the first records of its first file.
        flatten: The rows of a record, one a completion; None: a record is a row. It may yield a `Bad` in place of a
            row, and raise one for a record that it cannot use; whatever else it raises is taken for a record that is
            not of this shape, and costs the record alone.
        columns: Canonical column to column of the rows, where they are called otherwise.
        plan: Last word on what the columns of the rows mean; gets the plan and the first rows.
        record: A type of msgspec that lines are decoded to, for records so large that a Python object for each of
            their values would take too long; `flatten` then gets values of it.
        open: Opens the files of one run, for a format that must look at all of them first; None: the usual way.
    """

    name: str
    detect: Callable[[Head], bool]
    flatten: Callable[[Any, Source], Iterable[Row | Bad]] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    plan: Callable[[Plan, Sequence[Row]], Plan] | None = None
    record: type | None = None
    open: Callable[[Sequence[Source], ReadOptions, Head], Log] | None = None
