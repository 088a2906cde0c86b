"""CSV and TSV: a record a row, its cells as text."""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from ..chunks import CUT_SHORT, unpacked
from ..columns.plan import NAMES
from ..rows.records import Record
from ..rows.values import Bad
from ..sources import Source, kind_by_name
from .container import Container, Records


def _claims(source: Source, start: bytes) -> bool:
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()  # a byte order mark
    return kind_by_name(source.path) == "csv" and text[:1] not in (b"{", b"[")


def records(source: Source, size: int) -> Iterator[Records]:
    """Rows of a CSV or TSV with a header line, some at a time; numbered by the line on which they end."""
    csv.field_size_limit(sys.maxsize)
    with source.open() as raw:
        file = unpacked(raw)
        file = file if isinstance(file, io.BufferedIOBase) else io.BufferedReader(file)
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            first = text.readline()
        except (EOFError, OSError, zlib.error):
            first = ""
        comma = "\t" if "\t" in first else ","  # by the header: a text with a tab may stand in any row
        names, reader = next(csv.reader([first], delimiter=comma), []), csv.reader(text, delimiter=comma)
        found: list[Record] = []
        read = 0
        while (record := _csv_next(reader, names)) is not None:
            found.append(record)
            read += len(record.raw)
            if isinstance(record.value, Bad) and record.value.reason.startswith(("not CSV", CUT_SHORT)):
                break  # the reader has lost its place: what follows cannot be told
            if read >= size:
                yield Records(found, read, raw.tell())
                found, read = [], 0
        yield Records(found, read, raw.tell())


def _csv_next(reader: Any, names: list[str]) -> Record | None:
    """The next row that is not blank, None at the end."""
    try:
        cells = next(row for row in reader if row)
    except StopIteration:
        return None
    except EOFError:
        return Record(reader.line_num + 2, Bad("", CUT_SHORT), "")
    except (csv.Error, OSError, zlib.error) as error:
        return Record(reader.line_num + 2, Bad("", f"not CSV ({error})"), "")
    return _csv_record(names, cells, reader.line_num + 1)


def _csv_record(names: list[str], cells: list[str], line: int) -> Record:
    raw = ",".join(cells)
    if len(cells) != len(names):
        return Record(line, Bad("", f"{len(cells)} cells under {len(names)} columns"), raw)
    if not raw.isascii() and any("\udc80" <= c <= "\udcff" for c in raw):
        return Record(line, Bad("", "invalid UTF-8"), raw)
    return Record(line, {n: c for n, c in zip(names, cells, strict=True) if c != ""} | _empty_text(names, cells), raw)


def _empty_text(names: list[str], cells: list[str]) -> dict[str, str]:
    """An empty cell is an absent value, but an empty completion is one."""
    return {n: "" for n, c in zip(names, cells, strict=True) if c == "" and n in NAMES["completion"]}


CONTAINER = Container("csv", _claims, records)
