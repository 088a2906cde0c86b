"""inspect_ai's `.eval`: a zip of JSON, with a header and one file a sample; a record a sample.

New versions pack the members with zstd (method 93), which `zipfile` of Python before 3.14 lists but does not unpack.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any, BinaryIO

import zstandard

from ...errors import InputError
from ..bounds import LINE, largest_value
from ..rows.records import Record, parse
from ..rows.values import Bad
from ..sources import Source
from .container import Container, Records

LIMIT = 4 * LINE  # bytes of the largest sample that is read: one holds all events of its run
_ZSTD = 93
_AT_LEAST = 16  # samples that are handed on together
_FIRST = re.compile(rb"(_journal/|samples/|header\.json|summaries\.json|reductions\.json)")
_FAULTS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error, NotImplementedError, RuntimeError)


def _claims(_source: Source, start: bytes) -> bool:
    """A zip whose first member is one that inspect_ai writes."""
    return start[:4] == b"PK\x03\x04" and _FIRST.match(start, 30) is not None


def _open(source: Source, size: int) -> Iterator[Records]:
    limit = min(LIMIT, largest_value(source.memory))
    with source.open() as raw:
        file = raw if raw.seekable() else io.BytesIO(raw.read())
        try:
            archive = zipfile.ZipFile(file)
        except (*_FAULTS, ValueError) as error:
            raise InputError(f"{source.name}: not a zip that can be read ({error}). Get the whole file.") from None
        members = {info.filename: info for info in archive.infolist()}
        # A run that was stopped has no header; its journal begins with the same settings.
        header = next((members[name] for name in ("header.json", "_journal/start.json") if name in members), None)
        of_log = _value(archive, file, header, limit) if header else {}
        of_log = {key: of_log[key] for key in ("eval", "status") if key in of_log} if isinstance(of_log, dict) else {}
        samples = [info for name, info in members.items() if name.startswith("samples/") and name.endswith(".json")]
        found: list[Record] = []
        read = done = 0
        for number, info in enumerate(samples, 1):
            value = _value(archive, file, info, limit)
            if isinstance(value, dict):  # nothing is read of the events, which are most of a sample
                value = {**of_log, **{key: value[key] for key in value if not key.startswith("events")}}
            found.append(Record(number, value, info.filename))
            read, done = read + info.file_size, done + info.compress_size
            # What a log is must be told by more than one sample, however large each is.
            if (read >= size and (len(found) >= _AT_LEAST or read >= limit)) or number == len(samples):
                yield Records(found, read, min(done, source.size) if source.size else done)
                found, read = [], 0


def _value(archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo, limit: int) -> Any:
    """The JSON value of a member, or the `Bad` that it is."""
    if max(info.file_size, info.compress_size) > limit:
        return Bad("", f"{info.filename} is larger than {limit >> 20} MB")
    try:
        return parse(_unpacked(archive, file, info))
    except _FAULTS as error:
        return Bad("", f"{info.filename} cannot be unpacked ({error})")


def _unpacked(archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    if info.compress_type != _ZSTD:
        return archive.read(info)
    # The member stands behind a header of 30 bytes, its name and an extra field of its own length.
    file.seek(info.header_offset)
    name, extra = struct.unpack_from("<26xHH", file.read(30))
    file.seek(name + extra, io.SEEK_CUR)
    try:
        unpacker = zstandard.ZstdDecompressor(max_window_size=LIMIT).stream_reader(
            io.BytesIO(file.read(info.compress_size))
        )
        data = unpacker.read(info.file_size + 1)
    except zstandard.ZstdError as error:
        raise OSError(str(error)) from None
    if len(data) != info.file_size or zlib.crc32(data) != info.CRC:
        raise OSError("its bytes are damaged")
    return data


CONTAINER = Container("eval_zip", _claims, _open)
