"""Bytes to records. Quokka writes JSON values end to end, each behind its length in bytes: `13:{"seed": 123}`."""

from collections.abc import Iterator

from grpo_prm.logs import Bad, Container, Record, Records, Source, parse

MAGIC = b"quokka 1\n"


def claims(_source: Source, start: bytes) -> bool:
    """Is a file one of ours? Asked with its first bytes, unpacked."""
    return start.startswith(MAGIC)


def read(source: Source, _size: int) -> Iterator[Records]:
    """The records of a file: number, value, and the value as it stands for the list of rejected rows."""
    with source.open() as file:
        file.readline()
        number = 0
        while head := file.read(1):
            number += 1
            while head[-1:] not in (b":", b""):
                more = file.read(1)
                head += more or b":"
            length = int(head[:-1]) if head[:-1].isdigit() else -1
            raw = file.read(length) if length >= 0 else file.read()
            # What cannot be read is a record too: it is counted and listed, and the rest is kept.
            value = parse(raw) if len(raw) == length else Bad("", "cut short")
            yield Records([Record(number, value, raw)], len(raw), file.tell())


CONTAINER = Container("quokka", claims, read)
