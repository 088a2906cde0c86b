"""The rows of the files of a log: flattened where its format nests, whole columns at a time where nothing is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import orjson
import polars as pl

from ...errors import InputError
from ..chunks import Chunk
from ..columns.plan import Plan
from ..containers import jsonl, parquet_file
from ..containers.registry import HEAD_RECORDS, containers
from ..format import Format, Head, Row
from ..parts import Part
from ..prefetch import parallel
from ..rows.columnar import read_frame, read_lines
from ..rows.records import Record, RowBatch, parse, parse_lines, to_row_batch
from ..rows.rejects import reject_frame, rejected_rows
from ..rows.values import Bad
from ..rows.wire import wire_schema
from ..sources import Source, rest_of
from ..spans import Span

Flatten = Callable[[Any, Source], Iterable[Row | Bad]]


def flattener(format_: Format) -> Flatten:
    """`flatten` of a format, as lists, by which a record that is not of its shape is a `Bad`."""
    decode = _decoder(format_.record) if format_.record else None

    def flattened(value: Any, source: Source) -> list[Row | Bad]:
        # A record of the head is a JSON value: it becomes what the lines of the file are read as.
        if decode and not isinstance(value, format_.record):  # ty: ignore[invalid-argument-type]
            try:
                value = decode(orjson.dumps(value, default=str))
            except TypeError as error:  # an integer of more than 64 bits, half of a surrogate pair
                raise Bad("", f"not a record of {format_.name} ({error})") from None
        if isinstance(value, Bad):
            raise value
        try:
            return list(format_.flatten(value, source))  # ty: ignore[not-callable]
        except Bad:
            raise
        except Exception as error:  # of a format of anybody, at a record of any shape
            what = f"{type(error).__name__}: {error}"[:120]
            raise Bad("", f"not a record of {format_.name} ({what})") from None

    return flattened


def _decoder(record: type) -> Callable[[bytes], Any]:
    """A line to a value of a type of msgspec, or the `Bad` that it is."""
    decoder = msgspec.json.Decoder(record)

    def decode(line: bytes) -> Any:
        try:
            return decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = error
        value = parse(line)  # NaN and a byte order mark are no JSON for msgspec
        if isinstance(value, Bad):
            return value
        try:
            return decoder.decode(orjson.dumps(value))
        except (msgspec.DecodeError, TypeError, RecursionError):
            return Bad("", f"not a record of this format ({why})"[:160])

    return decode


def rows_of_head(head: Head, flatten: Flatten) -> list[Row]:
    """The rows of the first records."""
    rows: list[Row] = []
    first: Bad | None = None
    for value in head.rows:
        try:
            found = flatten(value, head.source)
        except Bad as bad:
            found = [bad]
        first = first or next((row for row in found if isinstance(row, Bad)), None)
        rows += islice((_plain(row) for row in found if not isinstance(row, Bad)), HEAD_RECORDS)
        if len(rows) >= HEAD_RECORDS:
            break
    if first and not rows:
        field = f": {first.field}" if first.field else ""
        raise InputError(
            f"{head.name}{field}: {first.reason}; so it is with all of the first {len(head.rows)} records."
        )
    return rows


def _plain(row: Row) -> Row:
    """A row with lists for arrays: what the columns mean is judged by JSON values."""
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


def row_batches(
    sources: Sequence[Source], plan: Plan, container: str, flatten: Flatten | None, record: type | None
) -> Iterator[RowBatch]:
    """Read the files of a log from the top.

    Args:
        sources: The files, in reading order.
        plan: What the columns of the rows mean.
        container: Name of the container that all of them are.
        flatten: From `flattener`; None: a record is a row.
        record: Type of msgspec that lines are decoded to for `flatten`.

    Yields:
        Rows and rejected rows in the order of the log.
    """
    before = 0  # bytes of the files that are read through
    for index, source in enumerate(sources):
        for batch in part_batches(sources, plan, container, flatten, record, Part(index)):
            yield batch._replace(done=before + batch.done)
        before += source.size


def part_batches(
    sources: Sequence[Source],
    plan: Plan,
    container: str,
    flatten: Flatten | None,
    record: type | None,
    part: Part,
) -> Iterator[RowBatch]:
    """Read a part of a log alone; `done` counts from its beginning. Arguments as for `row_batches`."""
    index, source = part.source, rest_of(sources[part.source])
    if source is None:
        return
    if part.size is not None:
        source = source._replace(pipe=Span(source.path, part.begin, part.begin + part.size))
    fast = {"jsonl": _jsonl, "parquet": _parquet}.get(container) if flatten is None else None
    read = fast(source, index, plan) if fast else _by_record(source, index, plan, container, flatten, record)
    for batch in read:
        if part.line > 1:
            batch = batch._replace(
                rows=batch.rows.with_columns(pl.col("_line") + part.line - 1),
                rejected=batch.rejected.with_columns(pl.col("line") + part.line - 1),
            )
        yield _left_out(batch, sources) if source.repeats else batch


def _left_out(batch: RowBatch, sources: Sequence[Source]) -> RowBatch:
    """A batch of a file that repeats an earlier one: all of its rows are rejected."""
    rejected = rejected_rows(batch.rows, sources, "", "duplicate")
    return batch._replace(rows=batch.rows.clear(), rejected=pl.concat([batch.rejected, rejected]))


def _by_record(
    source: Source, index: int, plan: Plan, container: str, flatten: Flatten | None, record: type | None
) -> Iterator[RowBatch]:
    """Any container, record by record."""
    if record and container == "jsonl":
        opened = jsonl.records(source, plan.chunk, _decoder(record))
    else:
        opened = containers()[container].open(source, plan.chunk)
    for some in opened:
        records = _flat(some.records, flatten, source) if flatten else some.records
        yield to_row_batch(records, plan, index, source, some.size, some.done)


def _flat(records: Iterable[Record], flatten: Flatten, source: Source) -> Iterator[Record]:
    """The rows of records, each numbered as its record."""
    for one in records:
        if isinstance(one.value, Bad):
            yield one
            continue
        try:
            rows = flatten(one.value, source)
        except Bad as bad:
            yield one._replace(value=bad)
        else:
            yield from (Record(one.line, row, one.raw) for row in rows)


def _jsonl(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    wire = wire_schema(plan)

    def to_rows(numbered: tuple[Chunk, int]) -> RowBatch:
        (data, done, fault), line = numbered
        # All of a chunk the fast way, or all of it the careful way, which finds the rows that are wrong.
        rows = read_lines(data, plan, wire, index, line, source) if wire and not fault else None
        if rows is not None:
            return RowBatch(rows, reject_frame([]), len(data), done)
        records: list[Record] | Iterator[Record] = parse_lines(data, line)
        if fault:
            records = jsonl.with_fault(list(records), line, fault)
        return to_row_batch(records, plan, index, source, len(data), done)

    return parallel(to_rows, jsonl.numbered(source, plan.chunk))


def _parquet(source: Source, index: int, plan: Plan) -> Iterator[RowBatch]:
    wire = wire_schema(plan)
    number = 1
    for frame, size, done in parquet_file.frames(source):
        rows = read_frame(frame, plan, wire, index, number, source) if wire else None
        if rows is not None:
            yield RowBatch(rows, reject_frame([]), size, done)
        else:
            records = (Record(line, row, row) for line, row in enumerate(frame.iter_rows(named=True), number))
            yield to_row_batch(records, plan, index, source, size, done)
        number += len(frame)
