"""CSV and TSV: a record a row, its cells as text."""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, BinaryIO

from ..bounds import longest_line
from ..chunks import BLANK, CUT_SHORT, TOO_LONG
from ..columns.plan import NAMES
from ..rows.records import Record
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from ..unpacking import unpacked
from .container import Container, Records
from .csv_dialect import SAMPLE, Dialect, dialect_of, looks_like_a_table, with_points

_BLOCK = 1 << 20  # characters of a line that is left out, at a time


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
    longest = longest_line(source.memory)
    with source.open() as raw:
        lines = _Lines(_text(raw), longest)
        reader = csv.reader(lines, delimiter=dialect.separator)
        _skip_header(reader, dialect)
        found: list[Record] = []
        read = 0
        while (record := _csv_next(reader, dialect, lines)) is not None:
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
    with suppress(EOFError, OSError, zlib.error, csv.Error, _TooLong):
        for _ in range(dialect.before):
            next(reader, None)
        next((row for row in reader if row), None)


class _TooLong(Exception):
    """A line that is left out; what follows can be read."""


class _Lines:
    """The lines of a table for `csv.reader`; memory grows with no row that is too long to be read."""

    def __init__(self, text: io.TextIOWrapper, longest: int) -> None:
        self._text, self._longest, self._taken = text, longest, 0
        self.number = 0  # of the last line
        self._blank = 0

    def __iter__(self) -> _Lines:
        return self

    def begin_row(self) -> None:
        """A row begins with the next line."""
        self._taken = 0

    def __next__(self) -> str:
        line = self._text.readline(self._longest)
        if not line:
            raise StopIteration
        self.number += 1
        first = not self._taken
        self._taken += len(line)
        self._blank = self._blank + len(line) if line.isspace() else 0
        if self._blank > BLANK:
            raise csv.Error(f"more than {BLANK >> 20:,} MB of blank lines: what follows is not read")
        if self._taken < self._longest:
            return line
        if not first:  # a quote that is never closed, most often
            raise csv.Error(f"a row that goes on over lines is longer than {self._longest >> 20} MB")
        while not line.endswith("\n") and (line := self._text.readline(_BLOCK)):
            pass
        raise _TooLong(TOO_LONG.format(self._longest >> 20))


def _csv_next(reader: Any, dialect: Dialect, lines: _Lines) -> Record | None:
    """The next row that is not blank, None at the end."""
    cells: list[str] = []
    try:
        while not cells:
            lines.begin_row()
            cells = next(reader)
    except StopIteration:
        return None
    except EOFError:
        return Record(lines.number + 1, Bad("", CUT_SHORT), "")
    except _TooLong as error:
        return Record(lines.number, Bad("", str(error)), "")
    except csv.Error as error:
        return Record(lines.number, Bad("", f"not CSV ({error})"), "")
    except (OSError, zlib.error) as error:
        return Record(lines.number + 1, Bad("", f"not CSV ({error})"), "")
    return _csv_record(dialect, cells, lines.number)


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
