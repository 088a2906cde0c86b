"""Archives of logs: .zip, .tar and packed .tar, told by their bytes and unpacked into a folder for the time being."""

from __future__ import annotations

import io
import re
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from tarfile import HeaderError, ReadError
from typing import BinaryIO, NamedTuple, Self

from ..errors import InputError
from .pipes import Pipe
from .temporary import temporary_place
from .unpacking import unpacked

MEMBERS = 100_000  # files that an archive may hold
BYTES = 32 << 30  # and what they may come to
TIMES, SMALL = 1000, 1 << 30  # what is larger than an archive so many times, and larger than `SMALL`, is no log
HEADER = 1 << 20  # bytes of a header of a .tar that holds a long name: it is read at once
ENDING = re.compile(r"\.(zip|tgz|tbz2?|txz|tzst|tar(\.(gz|bz2|xz|zst))?)$", re.IGNORECASE)
_ZIP, _TAR, _TAR_AT = (b"PK\x03\x04", b"PK\x05\x06"), b"ustar", 257
_BLOCK = 1 << 20
_PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
_LONG = (*_PAX, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_FAULTS = (EOFError, OSError, zlib.error, tarfile.TarError, zipfile.BadZipFile, NotImplementedError, ValueError)


class _Member(NamedTuple):
    name: str
    file: BinaryIO


def is_archive(place: Path | Pipe, name: str) -> bool:
    """Is it an archive of files? A .zip that one log is kept in (inspect_ai's .eval, what torch saves) is none.

    Raises:
        InputError: A packing that is not read, or a .zip of which the end is missing.
    """
    with _opened(place) as raw:
        try:
            start = unpacked(raw).read(512)
        except (EOFError, OSError, zlib.error):
            return False  # whoever reads it says what is wrong
    if not start.startswith(_ZIP):
        return start[_TAR_AT : _TAR_AT + len(_TAR)] == _TAR
    with _opened(place) as raw:
        try:
            names = zipfile.ZipFile(raw).namelist()
        except _FAULTS as error:
            raise _broken(name, error) from None
    of_inspect = any(name == "header.json" or name.startswith("_journal/") for name in names)
    # Office documents and arrays of numpy are zips as well, and refused as what they are where files are opened.
    other = "[Content_Types].xml" in names or all(name.endswith(".npy") for name in names)
    return not of_inspect and not other and not any(PurePosixPath(name).name == "data.pkl" for name in names)


def expand(place: Path | Pipe, name: str) -> Path:
    """Unpack an archive; what comes out goes when the process ends.

    Args:
        place: The archive.
        name: What messages call it.

    Returns:
        A folder called like the archive, with its files; links and what macOS adds are left out.

    Raises:
        InputError: It is damaged, cut short, encrypted or too large, it holds no file, or one that would lie outside
            of the folder.
    """
    folder = temporary_place("stdin" if name == "-" else name)
    folder = folder.with_name(ENDING.sub("", folder.name) or "archive")
    folder.mkdir()
    try:
        with _opened(place) as raw:
            _write(_members(raw, name), folder, name, _room(raw, folder))
    except BaseException:  # Ctrl-C too: the process may go on for long after
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def _room(raw: BinaryIO, folder: Path) -> int:
    """Bytes that may be unpacked: an archive may hold a million times its size, and more than the disk has room for."""
    size = raw.seek(0, io.SEEK_END) if raw.seekable() else BYTES
    if raw.seekable():
        raw.seek(0)
    return min(BYTES, max(SMALL, TIMES * size), int(0.9 * shutil.disk_usage(folder).free))


def _write(members: Iterator[_Member], folder: Path, name: str, room: int) -> None:
    files, left = 0, room
    try:
        for member in members:
            target = folder / _inside(member.name, name)
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                while block := member.file.read(_BLOCK):
                    left -= len(block)
                    if left < 0:
                        raise InputError(
                            f"{name}: holds more than {room / (1 << 30):.1f} GB, too much for its size or"
                            f" the disk of {tempfile.gettempdir()}. Unpack what you mean and name it."
                        )
                    file.write(block)
            files += 1
            if files > MEMBERS:
                raise InputError(f"{name}: holds more than {MEMBERS:,} files. Unpack what you mean and name it.")
    except _FAULTS as error:
        raise _broken(name, error) from None
    if not files:
        raise InputError(f"{name}: the archive holds no file. Name one that holds logs.")


def _inside(member: str, name: str) -> str:
    """The path of a member below the folder."""
    parts = member.replace("\\", "/").split("/")
    if not parts[0] or ".." in parts or ":" in parts[0] or "\0" in member:
        raise InputError(
            f"{name}: its file {member!r} would lie outside of the folder that it is unpacked to."
            " Unpack it yourself, and name the folder."
        )
    return "/".join(parts)


def _members(raw: BinaryIO, name: str) -> Iterator[_Member]:
    """The files of an archive, one after the other; each is read before the next comes."""
    if _peek(raw).startswith(_ZIP):
        members = _of_zip(zipfile.ZipFile(raw), name)
    else:
        file = unpacked(raw)
        file = io.BufferedReader(file, _BLOCK) if isinstance(file, io.RawIOBase) else file
        members = _of_tar(file)
    # macOS puts a file of its own beside each.
    return (m for m in members if not PurePosixPath(m.name).name.startswith("._") and "__MACOSX" not in m.name)


def _of_zip(archive: zipfile.ZipFile, name: str) -> Iterator[_Member]:
    for info in archive.infolist():
        if info.flag_bits & 1:
            raise InputError(f"{name}: the archive is encrypted. Unpack it first, and name the folder.")
        if not info.is_dir() and not stat.S_ISLNK(info.external_attr >> 16):
            with archive.open(info) as file:
                yield _Member(info.filename, file)  # ty: ignore[invalid-argument-type]


def _of_tar(stream: BinaryIO) -> Iterator[_Member]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Strict, bufsize=_BLOCK) as archive:
        for info in archive:
            if info.isreg() and (file := archive.extractfile(info)):
                yield _Member(info.name, file)  # ty: ignore[invalid-argument-type]


class _Strict(tarfile.TarInfo):
    """A header that is damaged or cut short is a fault, and not the end of the archive."""

    def _proc_member(self, tarfile: tarfile.TarFile) -> Self | tarfile.TarInfo:
        """The entry point for a subclass, says tarfile; not all of its versions call `frombuf` of one."""
        if self.type in _LONG and self.size > HEADER:
            raise ReadError(f"a name of {self.size:,} bytes")
        return super()._proc_member(tarfile)  # ty: ignore[missing-attribute]

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile)
        except HeaderError as error:
            if type(error).__name__ in ("InvalidHeaderError", "TruncatedHeaderError"):  # which have no public name
                raise ReadError(str(error)) from None
            raise


def _opened(place: Path | Pipe) -> BinaryIO:
    return place.open() if isinstance(place, Pipe) else place.open("rb")


def _peek(raw: BinaryIO) -> bytes:
    if isinstance(raw, io.BytesIO):
        return raw.getbuffer()[:4].tobytes()
    return raw.peek(4)[:4]  # ty: ignore[missing-attribute]


def _broken(name: str, error: Exception) -> InputError:
    if isinstance(error, OSError) and error.errno is not None:
        return InputError(f"{name}: cannot be unpacked ({error.strerror}). Unpack it where there is room, and name it.")
    return InputError(f"{name}: the archive is cut short or damaged ({error}). Get the whole file.")
