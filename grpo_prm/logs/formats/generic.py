"""Any log of rows: JSON lines, a JSON array, CSV or parquet, with columns found by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from .. import containers
from ..chunks import Chunk, chunks, lines_of
from ..columns.names import make_plan
from ..columns.plan import Plan
from ..grouping.buckets import reject
from ..log import Format, Head, Log
from ..options import ReadOptions
from ..prefetch import parallel
from ..rows.records import Part, Record, parse_lines, reject_frame, to_part
from ..rows.typed import read_frame, read_lines, wire_schema
from ..rows.values import Bad
from ..sources import Source


def open_log(
    sources: Sequence[Source],
    options: ReadOptions,
    head: Head,
    name: str = "generic",
    defaults: Mapping[str, str] | None = None,
    change: Callable[[Plan], Plan] | None = None,
) -> Log:
    """Open the files of one run as a log of rows.

    Args:
        sources: Files in reading order, all of one kind of container.
        options: What the user said.
        head: The start of the first file.
        name: Name of the format.
        defaults: Canonical column to column of the log, for a format whose names are known.
        change: Last word of the format on the plan.

    Returns:
        The log.
    """
    plan = make_plan(head.rows, options, head.name, defaults, head.container == "csv")
    if change:
        plan = change(plan)
    return Log(name, tuple(sources), plan, lambda: _parts(sources, plan, head.container))


def _parts(sources: Sequence[Source], plan: Plan, container: str) -> Iterator[Part]:
    read = {"jsonl": _jsonl, "json": _json, "csv": _csv, "parquet": _parquet}[container]
    before = 0
    for index, source in enumerate(sources):
        for part in read(source, index, plan):
            part = part._replace(done=before + part.done)
            yield _left_out(part, sources) if source.repeats else part
        before += source.size


def _left_out(part: Part, sources: Sequence[Source]) -> Part:
    """A part of a file that repeats an earlier one: all of its rows are rejected."""
    rejected = reject(part.rows, sources, "", "duplicate")
    return part._replace(rows=part.rows.clear(), rejected=pl.concat([part.rejected, rejected]))


def _jsonl(source: Source, index: int, plan: Plan) -> Iterator[Part]:
    wire = wire_schema(plan)

    def part(numbered: tuple[Chunk, int]) -> Part:
        (data, done, fault), line = numbered
        rows = read_lines(data, plan, wire, index, line, source.run) if wire and not fault else None
        if rows is not None:
            return Part(rows, reject_frame([]), len(data), done)
        records: list[Record] | Iterator[Record] = parse_lines(data, line)
        if fault:
            records = _with_fault(list(records), line, fault)
        return to_part(records, plan, index, source.name, source.run, len(data), done)

    return parallel(part, _numbered(source.path, plan.chunk))


def _numbered(path: Path, size: int) -> Iterator[tuple[Chunk, int]]:
    """The chunks of a file, and the number of the first line of each."""
    line = 1
    for chunk in chunks(path, size):
        yield chunk, line
        line += lines_of(chunk.data)


def _with_fault(records: list[Record], line: int, fault: str) -> list[Record]:
    """Put the blame for a torn last row on the file that ends there."""
    if records and isinstance(records[-1].value, Bad):
        return [*records[:-1], records[-1]._replace(value=Bad("", fault))]
    return [*records, Record(records[-1].line + 1 if records else line, Bad("", fault), "")]


def _json(source: Source, index: int, plan: Plan) -> Iterator[Part]:
    rows, _ = containers.json_rows(source.path, source.name)
    records = (Record(number, row, row) for number, row in enumerate(rows, 1))
    yield to_part(records, plan, index, source.name, source.run, source.size, source.size)


def _csv(source: Source, index: int, plan: Plan) -> Iterator[Part]:
    for records, size, done in containers.csv_records(source.path):
        yield to_part(records, plan, index, source.name, source.run, size, done)


def _parquet(source: Source, index: int, plan: Plan) -> Iterator[Part]:
    wire = wire_schema(plan)
    number = 1
    for frame, size, done in containers.parquet_frames(source.path, source.name):
        rows = read_frame(frame, plan, wire, index, number, source.run) if wire else None
        if rows is not None:
            yield Part(rows, reject_frame([]), size, done)
        else:
            records = (Record(line, row, row) for line, row in enumerate(frame.iter_rows(named=True), number))
            yield to_part(records, plan, index, source.name, source.run, size, done)
        number += len(frame)


def _detect(_: Head) -> bool:
    """Any log of rows is taken; what its columns must hold is checked when it is opened."""
    return True


FORMAT = Format("generic", _detect, open_log)
