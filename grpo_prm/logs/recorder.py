"""The rollouts of a running training as files, written beside it: nothing waits for the disk, and no fault of it stops
the training.

A part holds the rollouts of one generation on one rank. It appears whole or not at all, under a name that says where it
belongs: `step_000012-0.rank1-of-2.parquet` has the first generation for step 12 of the second of two ranks.
"""

from __future__ import annotations

import atexit
import logging
import math
import os
import queue
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..errors import UsageError
from ..files import atomic
from .gaps import MISSING, Gap, append, forget, matches, spans

PART = re.compile(r"step_(\d+)-(\d+)\.rank(\d+)-of-(\d+)\.parquet")
_UNFINISHED = re.compile(r"\.(?:step_\d+-\d+|missing)\.rank(\d+)(?:-of-\d+)?\..*")
WAITING = 64  # parts that may wait for the disk: more, and memory would grow with the training
_LOG = logging.getLogger("grpo_prm")
# A fork copies locks as they are, those of imports too, without the thread that would let go of them: a data loader's
# workers would wait for ever. So a fork waits while a table is made, which does not wait for the disk.
_MAKING = threading.RLock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_MAKING.acquire, after_in_parent=_MAKING.release, after_in_child=_MAKING.release)


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

    A copy of it in another process, by pickle or by fork, has nothing to write until it is given something there.

    Args:
        folder: Where the parts go; made when the first is written.
        rank: Of this process.
        ranks: How many processes write there.

    Examples:
        >>> import grpo_prm
        >>> recorder = grpo_prm.Recorder("run/rollouts")
        >>> recorder.begin()
        >>> recorder.write(1, 0, lambda: grpo_prm.recorded_table(
        ...     run="mine", step=1, group_keys=["a", "a"], samples=[0, 1], prompts=["1 + 1 ="] * 2,
        ...     completions=["it is 2", "it is 3"], tokens=[[5, 6, 7], [5, 6, 8]], rewards=[1.0, 0.0],
        ... ))
        >>> recorder.close()
        >>> grpo_prm.analyze("run/rollouts").summary["counts"]["groups"]
        1
    """

    def __init__(self, folder: str | Path, rank: int = 0, ranks: int = 1) -> None:
        self.folder, self.rank, self.ranks = Path(folder), rank, ranks
        self._thread: threading.Thread | None = None
        self._tasks: queue.Queue[_Task | None]
        self._lock: threading.Lock  # of the two lists
        self._gap: list[int]  # steps of the gap that goes on
        self._unsaid: list[Gap]  # what is missing and does not stand in the file yet

    def __reduce__(self) -> tuple[type[Recorder], tuple[Path, int, int]]:
        return type(self), (self.folder, self.rank, self.ranks)

    def begin(self, step: int = 0) -> None:
        """Take the folder for a run.

        Args:
            step: Steps done so far: 0 for a new run; of one that goes on the parts of later steps are taken away, since
                these steps are made again.

        Raises:
            UsageError: A new run, and parts of another lie there; or parts that cannot be taken away.
        """
        mine = [part for part in parts(self.folder) if part.rank == self.rank or part.ranks != self.ranks]
        if not step and mine:
            raise UsageError(
                f"{self.folder}: holds the rollouts of another run ({mine[0].path.name}). Give this run an output"
                " folder of its own, resume that run, or take its rollouts away."
            )
        later = [part.path for part in mine if part.step > step and self._clears(part.rank)]
        # What a kill left half written.
        left = [self.folder / found[0] for found in matches(self.folder, _UNFINISHED) if self._clears(int(found[1]))]
        try:
            for path in (*later, *left):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(
                f"{self.folder}: the rollouts of steps after {step} cannot be taken away ({error.strerror}). Make it"
                " writable, or record into another folder."
            ) from None
        for found in matches(self.folder, MISSING):
            # A full disk is no reason not to begin.
            with suppress(OSError, UsageError):
                if self._clears(int(found[1])):
                    forget(self.folder / found[0], step)

    def write(self, step: int, generation: int, make: Callable[[], pl.DataFrame]) -> None:
        """Have a part written; returns at once.

        Args:
            step: Training step that the rollouts are for, from 1.
            generation: 0 for the first of this step.
            make: Gives the canonical table (`recording.recorded_table`); is called in the thread that writes.
        """
        if not self._runs:
            self._start()
        try:
            self._tasks.put_nowait(_Task(step, generation, make))
        except queue.Full:
            self._fail(step, f"{WAITING} parts wait for the disk already")

    def close(self) -> None:
        """Wait until all that was given is written; more may follow."""
        if not self._runs:
            return
        self._tasks.put(None)
        assert self._thread is not None
        self._thread.join()
        self._thread = None
        atexit.unregister(self.close)

    @property
    def _runs(self) -> bool:
        """Whether the thread does; it does not live on in the processes that fork from this one."""
        return self._thread is not None and self._thread.is_alive()

    def _start(self) -> None:
        self._tasks, self._lock = queue.Queue(WAITING), threading.Lock()
        self._gap, self._unsaid = [], []
        self._thread = threading.Thread(target=self._work, name="grpo-prm recorder", daemon=True)
        self._thread.start()
        atexit.register(self.close)  # a script that ends early loses nothing

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                self._write(task)
            except BaseException as error:  # a panic of polars too: whatever it is, the training must go on
                self._fail(task.step, _reason(error))
            else:
                self._end_gap(task.step)
            self._name_missing()
        self._end_gap(math.inf)
        self._name_missing()  # what was refused meanwhile

    def _write(self, task: _Task) -> None:
        path = self.folder / f"step_{task.step:06d}-{task.generation}.rank{self.rank}-of-{self.ranks}.parquet"
        made = BytesIO()
        with _MAKING:
            task.make().write_parquet(made, compression="zstd")
        # Only now, since a trainer may judge the table where it makes it, which a full disk is not to stop.
        if path.exists():  # `begin` has taken away what is made again
            raise UsageError("another run writes into this folder")
        with atomic(path) as part:
            part.write_bytes(made.getbuffer())

    def _fail(self, step: int, reason: str) -> None:
        """Say it once, when the gap begins."""
        with self._lock:
            if not self._gap:
                _LOG.warning("%s: step %d is not recorded (%s). Training goes on.", self.folder, step, reason)
            self._gap.append(step)
            self._unsaid.append(Gap(step, self.rank, reason))

    def _end_gap(self, step: float) -> None:
        """Say which steps are missing, now that a later one is written or (infinity) none is to come."""
        with self._lock:
            # Steps before the gap may still have waited for the disk when it began.
            if self._gap and step > max(self._gap):
                behind = "; recording goes on." if math.isfinite(step) else "."
                _LOG.warning("%s: the rollouts of %s are missing%s", self.folder, spans(self._gap), behind)
                self._gap.clear()

    def _name_missing(self) -> None:
        """Name what is missing in the folder, whole lines or none; where there is no room, after the next part."""
        with self._lock:
            unsaid, self._unsaid = self._unsaid, []
        if not unsaid:
            return
        try:
            append(self.folder, self.rank, unsaid)
        except OSError:
            with self._lock:
                self._unsaid = unsaid + self._unsaid

    def _clears(self, rank: int) -> bool:
        """A run may go on with another number of ranks: each clears away its own files, the first those of nobody."""
        return rank == self.rank or (not self.rank and rank >= self.ranks)


def parts(folder: Path, names: Iterable[str] | None = None) -> list[Part]:
    """The finished parts of a folder, by step, generation and rank; none where there is no such folder.

    Args:
        folder: The folder.
        names: Of its files; None: all of them.
    """
    found = matches(folder, PART) if names is None else filter(None, map(PART.fullmatch, names))
    return sorted((Part(folder / one[0], *map(int, one.groups())) for one in found), key=lambda part: part[1:])


def _reason(error: BaseException) -> str:
    """What the system said, in the same words for every part; else what the error says."""
    met: BaseException | None = error
    while met:  # `atomic` makes another error of it
        if isinstance(met, OSError) and met.strerror:
            return met.strerror
        met = met.__context__
    return str(error) or type(error).__name__
