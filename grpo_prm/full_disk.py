"""A disk that is full, however a library says so."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from traceback import walk_tb

# Of a file that may not grow any more: the disk is full, or a limit of the user, or of the process.
_FULL = {getattr(errno, name, None) for name in ("ENOSPC", "EDQUOT", "EFBIG")}
# polars, safetensors, Arrow and torch have no number; torch has not even a reason.
_SAID = re.compile(
    r"(No space left on device|[Dd]isk quota exceeded|File too large|StorageFull"
    r"|os error (?:28|27|122)\b|PytorchStreamWriter failed writing)"
)
# polars, where the disk is full at the head of a page or at the end of a parquet; of a damaged one it says the same.
_OF_A_WRITER, _WRITERS = "Invalid thrift: transport error", {"write_parquet", "sink_parquet"}
_SENTENCES = ("Disk quota exceeded", "File too large")
_PACKAGES = {"polars", "safetensors", "safetensors_rust", "pyarrow", "duckdb", "torch", "pyo3_runtime"}


def full_disk(error: BaseException | None) -> str | None:
    """What the system or a library says of a full disk; None where an error has another reason.

    Args:
        error: What was raised; what it was made from is looked at, too.
    """
    for one in _behind(error):
        if isinstance(one, OSError) and one.errno in _FULL:
            return one.strerror
        unnumbered = isinstance(one, OSError) and one.errno is None  # of polars when it writes
        of_library = unnumbered or type(one) is RuntimeError or type(one).__module__.partition(".")[0] in _PACKAGES
        if of_library and (found := _SAID.search(str(one))):
            return found[1] if found[1] in _SENTENCES else "No space left on device"
        if of_library and _OF_A_WRITER in str(one) and _while_writing(one):
            return "No space left on device"
    return None


def _while_writing(error: BaseException) -> bool:
    """Whether a function of polars that writes parquet raised it, here or in a worker, whose frames come as a text."""
    frames = {frame.f_code.co_name for frame, _ in walk_tb(error.__traceback__)}
    return bool(frames & _WRITERS) or any(f"in {name}\n" in str(error.__cause__) for name in _WRITERS)


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
