"""Bytes to records. Quokka writes JSON values end to end, each behind its length in bytes: `13:{"seed": 123}`."""

from collections.abc import Iterator
from typing import BinaryIO

from grpo_prm.logs import Bad, Container, Record, Records, Source, parse, unpacked

MAGIC = b"quokka 1\n"


def claims(_source: Source, start: bytes) -> bool:
    """Is a file one of ours? Asked with its first bytes, unpacked."""
    return start.startswith(MAGIC)


def read(source: Source, size: int) -> Iterator[Records]:
    """The records of a file, about `size` bytes of them at a time: number, value, and the value as it stands."""
    with source.open() as packed:
        file = unpacked(packed)  # .gz, .zst and others; a plain file stays as it is
        file.readline()
        found: list[Record] = []
        for number, raw in enumerate(values(file), 1):
            # What cannot be read is a record too: it is counted and listed, and the rest is kept.
            found.append(Record(number, Bad("", "cut short") if raw is None else parse(raw), raw or b""))
            if sum(len(one.raw) for one in found) >= size:
                yield Records(found, size, packed.tell())
                found = []
        yield Records(found, sum(len(one.raw) for one in found), packed.tell())


def values(file: BinaryIO) -> Iterator[bytes | None]:
    """The bytes of each value; None for a last one that is cut short."""
    while head := file.read(1):
        while head[-1:] != b":" and (more := file.read(1)):
            head += more
        length = int(head[:-1]) if head[:-1].isdigit() else -1
        raw = file.read(length) if length >= 0 else b""
        yield raw if len(raw) == length else None
        if len(raw) != length:
            return


CONTAINER = Container("quokka", claims, read)
