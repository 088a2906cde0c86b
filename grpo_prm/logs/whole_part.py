"""How much of a file is whole while somebody writes to it."""

from __future__ import annotations

from pathlib import Path

import orjson

MAGIC = b"PAR1"  # the first and the last bytes of a parquet file: the last are written at the end
_BLOCK = 1 << 20  # bytes that are looked through at a time


def whole_lines(path: Path, begin: int, size: int) -> int:
    """Bytes of a file of lines up to the end of its last whole line.

    Args:
        path: The file.
        begin: Bytes that are known to be whole.
        size: Bytes of the file that are looked at.

    Returns:
        `begin` where no further line is whole. A last line without a newline is whole if it is a JSON object: nothing
        can follow on it.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        end, rest = size, b""
        while end > begin:
            start = max(begin, end - _BLOCK)
            file.seek(start)
            rest = file.read(end - start) + rest
            cut = rest.rfind(b"\n") + 1
            if cut or start == begin:
                return size if _is_object(rest[cut:]) else start + cut
            end = start
    return begin


def whole_table(path: Path, begin: int, size: int) -> int:
    """Bytes of a parquet file: all, or none while it is written."""
    if begin or size < 2 * len(MAGIC):
        return begin
    with path.open("rb") as file:
        file.seek(size - len(MAGIC))
        return size if file.read(len(MAGIC)) == MAGIC else 0


def _is_object(line: bytes) -> bool:
    if not line.rstrip().endswith(b"}"):
        return False
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False
