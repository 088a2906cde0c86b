"""Rows of the containers that are not JSON lines, and how a container is told by its first bytes."""

from __future__ import annotations

import csv
import io
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import polars as pl

from ..errors import InputError
from .chunks import CHUNK, CUT_SHORT, LINE, Chunk, chunks, lines_of, read_all, read_up_to, unpacked
from .columns.plan import NAMES
from .rows.records import Record, parse, parse_lines
from .rows.values import Bad
from .sources import Source, kind_by_name

HEAD = 2 << 20  # bytes by which a log is known
HEAD_ROWS = 1024


def container_of(source: Source, start: bytes) -> str:
    """Kind of container by content: `parquet`, `json`, `csv` or `jsonl`."""
    promised = kind_by_name(source.path)
    if start[:4] == b"PAR1":
        return "parquet"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()  # a byte order mark
    if text[:1] not in (b"{", b"["):
        return "csv" if promised == "csv" else "jsonl"
    if promised == "jsonl":
        return "jsonl"
    # An object that ends with its line is a row; one that goes on over lines is a JSON file printed with indents. A
    # .json of one line may be either, and is taken as a file.
    first, _, rest = text.partition(b"\n")
    try:
        whole = isinstance(orjson.loads(first), dict)
    except ValueError:
        whole = False
    if text[:1] == b"{" and whole and (rest.strip() or promised != "json"):
        return "jsonl"
    return "json" if text[:1] == b"[" or promised == "json" or not whole else "jsonl"


def container(source: Source) -> str:
    """Kind of container of a file."""
    return container_of(source, _start(source.path))


def head_rows(source: Source) -> tuple[str, list[dict[str, Any]]]:
    """Container of a file and its first rows; none where it holds no objects.

    Raises:
        InputError: The file is a JSON file or a parquet that cannot be read.
    """
    kind = container(source)
    if kind == "jsonl":
        rows = next((rows for chunk in chunks(source.path, HEAD) if (rows := _objects(chunk))), [])
    elif kind == "json":
        rows = [row for row in json_rows(source.path, source.name)[0] if isinstance(row, dict)]
    elif kind == "csv":
        records, _, _ = next(csv_records(source.path), ([], 0, 0))
        rows = [r.value for r in records if isinstance(r.value, dict)]
    else:
        frame, _, _ = next(parquet_frames(source.path, source.name, HEAD_ROWS), (pl.DataFrame(), 0, 0))
        rows = frame.to_dicts()
    return kind, rows[:HEAD_ROWS]


def why_no_rows(source: Source) -> InputError:
    """What is wrong with a file in which `head_rows` finds none."""
    empty = InputError(f"{source.name}: the file is empty. Name a log with at least one row.")
    if container(source) != "jsonl":
        return InputError(f"{source.name}: no rows. Name a log with at least one row.") if source.size else empty
    line = 1
    for chunk in chunks(source.path, HEAD):
        for record in parse_lines(chunk.data, line):
            reason = chunk.fault or getattr(record.value, "reason", "not an object")
            return InputError(f"{source.name}:{record.line}: {reason}. A log holds one JSON object per line.")
        if chunk.fault:
            return InputError(f"{source.name}: {chunk.fault}. Get the whole file.")
        line += lines_of(chunk.data)
    return empty


def _objects(chunk: Chunk) -> list[dict[str, Any]]:
    """The rows of a chunk of JSON lines that are objects."""
    return [r.value for r in parse_lines(chunk.data, 1) if isinstance(r.value, dict)]


def _start(path: Path) -> bytes:
    """The first bytes of a file, unpacked: a whole line, if it is not too long a one."""
    with path.open("rb") as raw:
        file = unpacked(raw)
        start, fault = read_up_to(file, HEAD)
        while fault is None and b"\n" not in start[-HEAD:] and len(start) < LINE:
            more, fault = read_up_to(file, HEAD)
            if not more:
                break
            start += more
        return start


def json_rows(path: Path, name: str) -> tuple[list[Any], str]:
    """Rows of a JSON file: its array, or the one array of objects inside an object.

    Returns:
        The rows, and the path of the array in the file (`""` at the top).

    Raises:
        InputError: Not JSON, or no array of objects, or more than one.
    """
    data, fault = read_all(path)
    if fault:
        raise InputError(f"{name}: {fault}. Get the whole file.")
    value = parse(data)
    if isinstance(value, Bad):
        raise InputError(f"{name}: {value.reason}. A log is one JSON array, or one JSON object per line.")
    if isinstance(value, list):
        return value, ""
    arrays = dict(_arrays(value))
    if len(arrays) == 1:
        path_in_file, rows = next(iter(arrays.items()))
        return rows, path_in_file
    if not isinstance(value, dict):
        raise InputError(f"{name}: the file holds one {type(value).__name__}, not rows. Give an array of objects.")
    keys = ", ".join(list(value)[:8])
    raise InputError(
        f"{name}: one JSON object with the keys {keys}, in which {len(arrays) or 'no'} lists of rows stand: not a known"
        " format yet. Write its completions as one JSON object per line, each with completion, reward and group."
    )


def _arrays(value: Any, path: str = "", depth: int = 3) -> Iterator[tuple[str, list[Any]]]:
    """Arrays of objects inside objects, with their dotted paths."""
    if isinstance(value, list):
        if value and all(isinstance(item, dict) for item in value):
            yield path, value
    elif isinstance(value, dict) and depth:
        for key, inner in value.items():
            yield from _arrays(inner, f"{path}.{key}" if path else key, depth - 1)


def csv_records(path: Path) -> Iterator[tuple[list[Record], int, int]]:
    """Rows of a CSV or TSV with a header line, some at a time; numbered by the line on which they end."""
    csv.field_size_limit(sys.maxsize)
    with path.open("rb") as raw:
        file = unpacked(raw)
        file = file if isinstance(file, io.BufferedIOBase) else io.BufferedReader(file)
        text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
        try:
            first = text.readline()
        except (EOFError, OSError, zlib.error):
            first = ""
        comma = "\t" if "\t" in first else ","  # by the header: a text with a tab may stand in any row
        names, reader = next(csv.reader([first], delimiter=comma), []), csv.reader(text, delimiter=comma)
        records: list[Record] = []
        size = 0
        while (record := _csv_next(reader, names)) is not None:
            records.append(record)
            size += len(record.raw)
            if isinstance(record.value, Bad) and record.value.reason.startswith(("not CSV", CUT_SHORT)):
                break  # the reader has lost its place: what follows cannot be told
            if size >= CHUNK:
                yield records, size, raw.tell()
                records, size = [], 0
        yield records, size, raw.tell()


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


def parquet_frames(path: Path, name: str, rows: int | None = None) -> Iterator[tuple[pl.DataFrame, int, int]]:
    """Slices of a parquet file of about a chunk each, with bytes on disk for each and so far."""
    size = path.stat().st_size
    try:
        scan = pl.scan_parquet(path)
        total = scan.select(pl.len()).collect().item()
        step = rows or max(256, int(total * CHUNK / (4 * size)))  # a parquet is about four times as large in memory
        done = 0
        for frame in scan.collect_batches(chunk_size=step, maintain_order=True):
            share = int(size * len(frame) / max(total, 1))
            done += share
            yield frame, share, done
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{name}: not a parquet file that can be read ({error}). Check that it is whole.") from None
