"""Any log of rows: JSON lines, a JSON array, CSV or parquet, with columns known by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from .. import containers
from ..chunks import Chunk, chunks, lines_of
from ..columns.matching import make_plan
from ..columns.plan import Plan
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..prefetch import parallel
from ..rows.columnar import read_frame, read_lines, wire_schema
from ..rows.records import Record, RowBatch, parse_lines, to_row_batch
from ..rows.rejects import reject_frame, rejected_rows
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
        options: What the user asked for.
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
    return Log(name, tuple(sources), plan, lambda: _row_batches(sources, plan, head.container))


def _row_batches(sources: Sequence[Source], plan: Plan, container: str) -> Iterator[RowBatch]:
    read = {"jsonl": _jsonl, "json": _json, "csv": _csv, "parquet": _parquet}[container]
    before = 0  # bytes of the files that are read through
    for index, source in enumerate(sources):
        for batch in read(source, index, plan):
            batch = batch._replace(done=before + batch.done)
            yield _left_out(batch, sources) if source.repeats else batch
        before += source.size


def _left_out(batch: RowBatch, sources: Sequence[Source]) -> RowBatch:
    """A batch of a file that repeats an earlier one: all of its rows are rejected."""
    rejected = rejected_rows(batch.rows, sources, "", "duplicate")
    return batch._replace(rows=batch.rows.clear(), rejected=pl.concat([batch.rejected, rejected]))


def _jsonl(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    wire = wire_schema(plan)

    def to_rows(numbered: tuple[Chunk, int]) -> RowBatch:
        (data, done, fault), line = numbered
        # All of a chunk the fast way, or all of it the careful way, which finds the rows that are wrong.
        rows = read_lines(data, plan, wire, index, line, source.run) if wire and not fault else None
        if rows is not None:
            return RowBatch(rows, reject_frame([]), len(data), done)
        records: list[Record] | Iterator[Record] = parse_lines(data, line)
        if fault:
            records = _with_fault(list(records), line, fault)
        return to_row_batch(records, plan, index, source.name, source.run, len(data), done)

    return parallel(to_rows, _numbered(source.path, plan.chunk))


def _numbered(path: Path, size: int) -> Iterator[tuple[Chunk, int]]:
    """The chunks of a file, and the number of the first line of each."""
    line = 1
    for chunk in chunks(path, size):
        yield chunk, line
        line += lines_of(chunk.data)


def _with_fault(records: list[Record], line: int, fault: str) -> list[Record]:
    """Give a last row that is torn the file's fault as its reason: it is cut off there, or the line is too long."""
    if records and isinstance(records[-1].value, Bad):
        return [*records[:-1], records[-1]._replace(value=Bad("", fault))]
    return [*records, Record(records[-1].line + 1 if records else line, Bad("", fault), "")]


def _json(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    rows, _ = containers.json_rows(source.path, source.name)
    records = (Record(number, row, row) for number, row in enumerate(rows, 1))
    yield to_row_batch(records, plan, index, source.name, source.run, source.size, source.size)


def _csv(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    for records, size, done in containers.csv_records(source.path):
        yield to_row_batch(records, plan, index, source.name, source.run, size, done)


def _parquet(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    wire = wire_schema(plan)
    number = 1
    for frame, size, done in containers.parquet_frames(source.path, source.name):
        rows = read_frame(frame, plan, wire, index, number, source.run) if wire else None
        if rows is not None:
            yield RowBatch(rows, reject_frame([]), size, done)
        else:
            records = (Record(line, row, row) for line, row in enumerate(frame.iter_rows(named=True), number))
            yield to_row_batch(records, plan, index, source.name, source.run, size, done)
        number += len(frame)


def _detect(_: Head) -> bool:
    """Any log of rows is taken; what its columns must hold is checked when it is opened."""
    return True


FORMAT = Format("generic", _detect, open=open_log)
