"""The rollouts of a running training, read as they come: each step once, when all of it is there.

A part appears whole under its name (`recorder`), so what is half written is never seen. A run that is set back takes
parts away that were read already; then everything is read anew.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import polars as pl

from ..errors import GrpoPrmError
from .formats.registry import open_run
from .gaps import gaps, missing
from .layouts.path_words import step_of_path
from .options import ReadOptions
from .recorder import Part, parts
from .rollouts import Rollouts
from .sources import INNER, Source, method_beside, stem
from .stream import Logs, SoFar

ROLLOUTS = "rollouts"  # in a run folder
Stamps = dict[Path, tuple[int, int, int] | None]
_OF_OUR_TRAINER = re.compile(r"step_(\d+)\.parquet")


class Fresh(NamedTuple):
    """What has come since the last poll.

    Attributes:
        batches: Whole steps, as `stream.read` gives them, read as they are asked for; those that are not asked for come
            with the next poll.
        anew: What was given before holds no more, as parts of it were taken away: begin again with these batches.
    """

    batches: Iterator[Rollouts]
    anew: bool


class Following:
    """Gives the steps of a folder of parts, each once.

    Args:
        folder: Of the parts, of a recorder (`recorder.Recorder`) or of our own trainer; need not be there yet.
        options: How to read.

    Attributes:
        newest: When the last part was written, in seconds since 1970; None before the first.
        last: The last step that was given; None before the first.
    """

    def __init__(self, folder: str | Path, options: ReadOptions | None = None) -> None:
        self.folder, self._options = Path(folder), options or ReadOptions()
        self.newest: float | None = None
        self._begin()

    def _begin(self) -> None:
        self.last: int | None = None
        self._so_far = SoFar(self._options)
        self._given: dict[str, None] = {}  # names of parts
        self._stamps: Stamps = {}  # of the parts of the last step
        self._disturbed = False  # what was read of a step is no whole one
        self._most = 0  # generations of a step until now

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about all that was given: what was counted, and which steps the recorder says are missing."""
        return (*missing(self.folder), *self._so_far.notes)

    def poll(self, *, ended: bool = False) -> Fresh:
        """Look for steps that are complete now.

        A step is complete when every rank has written its part of each of its generations, or has named it as
        missing, or has gone on to a later step; and when a later step shows that no generation is to come, or there
        are as many as any step before had.

        Args:
            ended: No generation is to come: the last step is complete without a later one.

        Raises:
            InputError: A part cannot be read.
        """
        names = _names(self.folder)
        fresh = _parts(self.folder, names - self._given.keys())  # names that are known are not parsed again
        anew = not (self._given.keys() <= names and self._still_there(fresh))
        if anew:
            self._begin()
            fresh = _parts(self.folder, names)
        self.newest = max(filter(None, (self.newest, *(_time(part.path) for part in fresh))), default=None)
        return Fresh(self._batches(fresh, ended=ended), anew)

    def _batches(self, fresh: list[Part], *, ended: bool) -> Iterator[Rollouts]:
        for step, of_step in self._complete(fresh, ended=ended):
            stamps = _stamps(of_step)
            if None in stamps.values():
                return  # taken away since: the next poll sees what is there then
            try:
                batches = self._read(of_step)
            except (GrpoPrmError, OSError):
                if _stamps(of_step) == stamps:
                    raise
                self._disturbed = True  # taken away or replaced while it was read: the next poll begins again
                return
            self.last = step
            self._most = max(self._most, len({part.generation for part in of_step}))
            self._given.update(dict.fromkeys(part.path.name for part in of_step))
            self._stamps = stamps
            yield from batches

    def _still_there(self, fresh: list[Part]) -> bool:
        """Whether the last step stands as it was given, and nothing has come for a step that was given.

        A run is set back by its last steps, so it shows in the parts of the last one even if these are there again.
        """
        late = self.last is not None and any(part.step <= self.last for part in fresh)
        same = all(_stamp(path) == stamp for path, stamp in self._stamps.items())
        return same and not late and not self._disturbed

    def _complete(self, fresh: list[Part], *, ended: bool) -> Iterator[tuple[int, list[Part]]]:
        """Steps that can be read, in order, up to the first that cannot."""
        lost, most = {(gap.step, gap.rank) for gap in gaps(self.folder)}, self._most
        begun, last = 0, _last_steps(fresh)
        for step, group in groupby(fresh, key=lambda part: part.step):
            of_step = list(group)
            begun += len(of_step)
            generations = len({part.generation for part in of_step})
            single = of_step[0].ranks == 0  # of our trainer, which writes a step at once
            if not (single or ended or begun < len(fresh) or (most and generations >= most)):
                return
            if _awaits(of_step, last, lost):
                return
            most = max(most, generations)
            yield step, of_step

    def _read(self, of_step: list[Part]) -> list[Rollouts]:
        sources = [_source(part) for part in of_step if _has_rows(part.path)]
        if not sources:  # all of its rewards failed
            return []
        log = open_run(sources, self._options)
        return list(Logs((log,), self._options).more(self._so_far))


def folder_of_parts(run: str | Path) -> Path:
    """Where the parts of a run lie.

    Args:
        run: The folder of a run, or that of its parts; need not be there yet.

    Returns:
        `run` if it holds parts or is called as trainers call that folder, else `rollouts` in it.
    """
    run = Path(run)
    return run if run.name == ROLLOUTS or _parts(run, _names(run)) else run / ROLLOUTS


def _names(folder: Path) -> set[str]:
    """Of all files of a folder; none where there is no such folder."""
    try:
        return set(os.listdir(folder))
    except OSError:
        return set()


def _parts(folder: Path, names: Iterable[str]) -> list[Part]:
    """Those of the names that are parts, by step, generation and rank; `ranks` is 0 for those of our trainer."""
    ours = (
        Part(folder / found[0], int(found[1]), 0, 0, 0) for found in filter(None, map(_OF_OUR_TRAINER.fullmatch, names))
    )
    return sorted([*parts(folder, names), *ours], key=lambda part: part[1:])


def _last_steps(fresh: list[Part]) -> dict[tuple[int, int], int]:
    """Rank and number of ranks to the last step that it has a part of."""
    return {(part.rank, part.ranks): part.step for part in fresh}  # in the order of the steps


def _awaits(of_step: list[Part], last: Mapping[tuple[int, int], int], lost: set[tuple[int, int]]) -> bool:
    """Whether parts of a step are still to come.

    Args:
        of_step: Those that are there.
        last: `_last_steps` of these and later ones.
        lost: Step and rank of what the recorder could not write.
    """
    step = of_step[0].step
    for generation, ranks in {(part.generation, part.ranks) for part in of_step}:
        # A rank that has gone on writes no more for this step; a run that goes on with other ranks has no such.
        later = {rank_of for rank_of, newest in last.items() if newest > step}
        if any(of != ranks for _, of in later):
            continue
        done = {rank for rank, _ in later} | {part.rank for part in of_step if part.generation >= generation}
        if any(rank not in done and (step, rank) not in lost for rank in range(ranks)):
            return True
    return False


def _source(part: Part) -> Source:
    """The part as `find_sources` would list it."""
    folder = part.path.parent.resolve()
    run = folder.parent.name if folder.name in INNER else folder.name
    step = step_of_path(folder.parts[-3:], stem(part.path))
    size = part.path.stat().st_size
    return Source(part.path, str(part.path), run, size, method=method_beside(folder), step=step)


def _has_rows(path: Path) -> bool:
    try:
        return pl.scan_parquet(path).select(pl.len()).collect().item() > 0
    except pl.exceptions.PolarsError:
        return True  # no table: whoever reads it says so


def _time(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def _stamps(of_step: list[Part]) -> Stamps:
    return {part.path: _stamp(part.path) for part in of_step}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written again under the same name."""
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_mtime_ns, about.st_size
