"""The rollouts of a running training as files, written beside it: nothing waits for the disk, and no fault of it stops
the training.

A part holds the rollouts of one generation on one rank. It appears whole or not at all, under a name that says where it
belongs: `step_000012-0.rank1-of-2.parquet` has the first generation for step 12 of the second of two ranks.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import queue
import re
import threading
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..errors import UsageError
from ..files import atomic

PART = re.compile(r"step_(\d+)-(\d+)\.rank(\d+)-of-(\d+)\.parquet")
MISSING = re.compile(r"missing\.rank(\d+)\.jsonl")
WAITING = 64  # parts that may wait for the disk: more, and memory would grow with the training
_LOG = logging.getLogger("grpo_prm")


class Part(NamedTuple):
    """A part of the rollouts and what its name says."""

    path: Path
    step: int
    generation: int
    rank: int
    ranks: int


class _Task(NamedTuple):
    step: int
    generation: int
    make: Callable[[], pl.DataFrame]


class Recorder:
    """Writes the parts of one rank in a thread of its own.

    Args:
        folder: Where the parts go; made when the first is written.
        rank: Of this process.
        ranks: How many processes write there.
    """

    def __init__(self, folder: str | Path, rank: int = 0, ranks: int = 1) -> None:
        self.folder, self.rank, self.ranks = Path(folder), rank, ranks
        self._tasks: queue.Queue[_Task | None] = queue.Queue(WAITING)
        self._unsaid: list[tuple[int, str]] = []  # what is missing and does not stand in the file yet
        self._gap: list[int] = []  # steps of the gap that goes on
        self._thread: threading.Thread | None = None

    def begin(self, step: int = 0) -> None:
        """Take the folder for a run.

        Args:
            step: Steps done so far: 0 for a new run; of one that goes on the parts of later steps are taken away, since
                these steps are made again.

        Raises:
            UsageError: A new run, and parts of another lie there.
        """
        mine = [part for part in parts(self.folder) if part.rank == self.rank or part.ranks != self.ranks]
        if not step and mine:
            raise UsageError(
                f"{self.folder}: holds the rollouts of another run ({mine[0].path.name}). Give this run an output"
                " folder of its own, resume that run, or take its rollouts away."
            )
        for part in mine:
            # A run may go on with another number of ranks: each takes away its own, the first those of nobody.
            if part.step > step and (part.rank == self.rank or (not self.rank and part.rank >= self.ranks)):
                part.path.unlink(missing_ok=True)
        # What a kill left half written.
        for left in self.folder.glob(f".step_*.rank{self.rank}-of-*"):
            left.unlink(missing_ok=True)
        self._keep_missing(step)

    def write(self, step: int, generation: int, make: Callable[[], pl.DataFrame]) -> None:
        """Have a part written; returns at once.

        Args:
            step: Training step that the rollouts are for, from 1.
            generation: 0 for the first of this step.
            make: Gives the canonical table (`recording.recorded_table`); is called in the thread that writes.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="grpo-prm recorder", daemon=True)
            self._thread.start()
            atexit.register(self.close)  # a script that ends early loses nothing
        try:
            self._tasks.put_nowait(_Task(step, generation, make))
        except queue.Full:
            self._fail(step, f"{WAITING} parts wait for the disk already")

    def close(self) -> None:
        """Wait until all that was given is written."""
        if self._thread is None:
            return
        self._tasks.put(None)
        self._thread.join()
        self._thread = None
        atexit.unregister(self.close)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            name = f"step_{task.step:06d}-{task.generation}.rank{self.rank}-of-{self.ranks}.parquet"
            try:
                with atomic(self.folder / name) as part:
                    task.make().write_parquet(part, compression="zstd")
            except Exception as error:  # whatever it is, the training must go on
                self._fail(task.step, getattr(error, "strerror", None) or str(error))
            else:
                self._went_well()
        self._went_well(ended=True)

    def _fail(self, step: int, reason: str) -> None:
        """Say it once, when the gap begins."""
        if not self._gap:
            _LOG.warning("%s: step %d is not recorded (%s). Training goes on.", self.folder, step, reason)
        self._gap.append(step)
        self._unsaid.append((step, reason))

    def _went_well(self, *, ended: bool = False) -> None:
        """Say which steps are missing, in the log and in the folder, now that there is an end to it."""
        if not self._gap:
            return
        lines = [json.dumps({"step": step, "rank": self.rank, "reason": reason}) for step, reason in self._unsaid]
        try:
            with (self.folder / f"missing.rank{self.rank}.jsonl").open("a", encoding="utf-8") as file:
                file.write("".join(f"{line}\n" for line in lines))
            self._unsaid.clear()
        except OSError:
            pass  # still no room: with the next part, or never, and the warning has said it
        behind = "." if ended else "; recording goes on."
        _LOG.warning("%s: the rollouts of %s are missing%s", self.folder, spans(self._gap), behind)
        self._gap.clear()

    def _keep_missing(self, step: int) -> None:
        """Forget what was missing of steps that are made again."""
        path = self.folder / f"missing.rank{self.rank}.jsonl"
        if path.exists():
            kept = [line for line in path.read_bytes().splitlines() if _step(line) <= step]
            with atomic(path) as part:
                part.write_bytes(b"".join(line + b"\n" for line in kept))


def parts(folder: Path) -> list[Part]:
    """The finished parts of a folder, by step, generation and rank; none where there is no such folder."""
    try:
        matches = list(filter(None, map(PART.fullmatch, os.listdir(folder))))
    except OSError:
        return []
    return sorted((Part(folder / m[0], *map(int, m.groups())) for m in matches), key=lambda part: part[1:])


def missing(folder: Path) -> Iterator[str]:
    """A sentence about the steps of a folder whose rollouts could not be written; none where none is missing."""
    known: dict[str, list[int]] = {}
    for path in sorted(folder.glob("missing.rank*.jsonl")):
        for line in path.read_bytes().splitlines():
            if (step := _step(line)) >= 0:
                known.setdefault(str(json.loads(line).get("reason")), []).append(int(step))
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


def _step(line: bytes) -> float:
    """Step of a line; -1 where the line is torn."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return -1
