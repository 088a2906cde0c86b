"""CSV and TSV: a record a row, its cells as text."""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from ..chunks import CUT_SHORT, unpacked
from ..columns.plan import NAMES
from ..rows.records import Record
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from .container import Container, Records
from .csv_dialect import SAMPLE, Dialect, dialect_of, looks_like_a_table, with_points


def _claims(source: Source, start: bytes) -> bool:
    """What is called so, and text whose header has two names of columns of rollouts."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()  # a byte order mark
    if text[:1] in (b"{", b"["):
        return False
    promised = kind_by_name(source.path)
    return promised == "csv" or (promised is None and looks_like_a_table(text[:SAMPLE].decode("utf-8", "replace")))


def records(source: Source, size: int) -> Iterator[Records]:
    """Rows of a CSV or TSV with a header line, some at a time; numbered by the line on which they end.

    Raises:
        InputError: The first line names no columns, or two of them alike.
    """
    csv.field_size_limit(sys.maxsize)
    dialect = _dialect(source)
    with source.open() as raw:
        reader = csv.reader(_text(raw), delimiter=dialect.separator)
        _skip_header(reader, dialect)
        found: list[Record] = []
        read = 0
        while (record := _csv_next(reader, dialect)) is not None:
            found.append(record)
            read += len(record.raw)
            if isinstance(record.value, Bad) and record.value.reason.startswith(("not CSV", CUT_SHORT)):
                break  # the reader has lost its place: what follows cannot be told
            if read >= size:
                yield Records(found, read, raw.tell())
                found, read = [], 0
        yield Records(found, read, raw.tell())


def _text(raw: BinaryIO) -> io.TextIOWrapper:
    file = unpacked(raw)
    file = file if isinstance(file, io.BufferedIOBase) else io.BufferedReader(file)
    return io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")


def _dialect(source: Source) -> Dialect:
    """How the table is written, by its first characters; as far as they can be unpacked."""
    sample = ""
    with source.open() as raw, suppress(EOFError, OSError, zlib.error):
        text = _text(raw)
        while len(sample) < SAMPLE and (more := text.readline(SAMPLE - len(sample))):
            sample += more
    return dialect_of(sample, source.name)


def _skip_header(reader: Any, dialect: Dialect) -> None:
    """Read on to behind the header; what stops the reading there stops it again at the first row."""
    with suppress(EOFError, OSError, zlib.error, csv.Error):
        for _ in range(dialect.before):
            next(reader, None)
        next((row for row in reader if row), None)


def _csv_next(reader: Any, dialect: Dialect) -> Record | None:
    """The next row that is not blank, None at the end."""
    try:
        cells = next(row for row in reader if row)
    except StopIteration:
        return None
    except EOFError:
        return Record(reader.line_num + 1, Bad("", CUT_SHORT), "")
    except (csv.Error, OSError, zlib.error) as error:
        return Record(reader.line_num + 1, Bad("", f"not CSV ({error})"), "")
    return _csv_record(dialect, cells, reader.line_num)


def _csv_record(dialect: Dialect, cells: list[str], line: int) -> Record:
    raw, names = dialect.separator.join(cells), dialect.names
    if len(cells) != len(names):
        return Record(line, Bad("", f"{len(cells)} cells under {len(names)} columns"), raw)
    if not raw.isascii() and any("\udc80" <= c <= "\udcff" for c in raw):
        return Record(line, Bad("", "invalid UTF-8"), raw)
    if dialect.decimal_comma:
        pairs = zip(names, cells, strict=True)
        cells = [with_points(cell) if name in dialect.decimal_comma else cell for name, cell in pairs]
    # An empty cell is an absent value, but an empty completion is one.
    pairs = zip(names, cells, strict=True)
    return Record(line, {name: cell for name, cell in pairs if cell or name in NAMES["completion"]}, raw)


def notes(source: Source) -> list[str]:
    """What was inferred about how the table is written, as sentences."""
    return _dialect(source).notes()


CONTAINER = Container("csv", _claims, records, notes)
