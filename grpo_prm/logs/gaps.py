"""What a recorder could not write: named beside the parts, so that whoever reads them knows what is not there.

One file a rank, `missing.rank0.jsonl`, one line a step: `{"step": 12, "rank": 0, "reason": "No space left on device"}`.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from ..files import atomic

MISSING = re.compile(r"missing\.rank(\d+)\.jsonl")


class Gap(NamedTuple):
    """A step whose rollouts one rank could not write, and why."""

    step: int
    rank: int
    reason: str


def gaps(folder: Path) -> Iterator[Gap]:
    """What could not be written; a line that is torn, or being written, is passed over."""
    for found in matches(folder, MISSING):
        with suppress(OSError):  # taken away since
            lines = (folder / found[0]).read_bytes().splitlines()
            yield from filter(None, (_gap(line, int(found[1])) for line in lines))


def missing(folder: Path) -> Iterator[str]:
    """A sentence about the steps of a folder whose rollouts could not be written; none where none is missing."""
    known: dict[str, list[int]] = {}
    for gap in gaps(folder):
        known.setdefault(gap.reason, []).append(gap.step)
    for reason, steps in known.items():
        yield f"The rollouts of {spans(steps)} are missing, as they could not be written in training ({reason})."


def spans(steps: list[int]) -> str:
    """`step 3`, or `steps 4 to 9, 12`."""
    ordered = sorted(set(steps))
    # A stretch ends where the next step is not the following one.
    ends = [n for n, step in enumerate(ordered, 1) if n == len(ordered) or ordered[n] != step + 1]
    stretches = [ordered[a:b] for a, b in pairwise([0, *ends])]
    named = ", ".join(f"{one[0]}" if len(one) == 1 else f"{one[0]} to {one[-1]}" for one in stretches)
    return f"step {named}" if len(ordered) == 1 else f"steps {named}"


def append(folder: Path, rank: int, lost: Iterable[Gap]) -> None:
    """Name more of a rank; on a disk that has no room for all of it the file stays as it was.

    Raises:
        OSError: It cannot be written.
    """
    text = "".join(f"{json.dumps(gap._asdict())}\n" for gap in lost).encode()
    with (folder / f"missing.rank{rank}.jsonl").open("ab", buffering=0) as file:
        size = file.tell()
        try:
            if file.write(text) != len(text):
                raise OSError("no room")
        except OSError:
            file.truncate(size)
            raise


def forget(path: Path, step: int) -> None:
    """Take what is named of later steps, and what is torn, out of a file.

    Raises:
        OSError: It cannot be read or written.
        UsageError: No file can be made there.
    """
    text = path.read_bytes()
    kept = b"".join(line + b"\n" for line in text.splitlines() if (gap := _gap(line, 0)) and gap.step <= step)
    if kept != text:
        with atomic(path) as part:
            part.write_bytes(kept)


def matches(folder: Path, names: re.Pattern[str]) -> list[re.Match[str]]:
    """The names in a folder that match, in order; none where there is no such folder."""
    try:
        return list(filter(None, map(names.fullmatch, sorted(os.listdir(folder)))))
    except OSError:
        return []


def _gap(line: bytes, rank: int) -> Gap | None:
    """What a line says is missing; None where it is torn."""
    try:
        told = json.loads(line)
        return Gap(int(told["step"]), rank, str(told.get("reason")))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
