"""The task of a worker that makes numbers: whole steps, from the log or from sorted chunks, grouped and measured."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ..analysis.measured_batch import MeasuredBatch, measured_batch
from ..analysis.options import Options
from ..analysis.prompts import PromptLengths
from ..logs.grouping.disk_ranges import Range
from ..logs.grouping.on_disk import read_range
from ..logs.grouping.steps import Key, by_step
from ..logs.rollouts import Rollouts
from ..logs.stream import SoFar, batch_of, in_batches
from ..logs.tokenize import Pieces
from ..logs.usable import Usable
from .opening import Opening
from .stretches import Stretch, steps_of


class RangeTask(NamedTuple):
    """A range to be measured.

    Attributes:
        opening: The logs.
        log: Which of them.
        rows: Where its rows are: in sorted chunks, or in the log itself.
        options: What changes the numbers; the divisor is known.
        sizes: Sizes of the groups before it, by run; empty: as if there were none.
        numbers: Numbers of pieces, by hash, where others would be taken without the steps before.
    """

    opening: Opening
    log: int
    rows: Range | Stretch
    options: Options
    sizes: Mapping[str, Counter[int]] = {}
    numbers: Mapping[int, int] = {}


class MeasuredRange(NamedTuple):
    """What a range says.

    Attributes:
        measured: Its sums and tables, batch by batch; groups are numbered from 0 on.
        groups: How many there are, groups of one and those that were left out of the tables included.
        taken: `GroupingState.taken`: what must be the same with the steps before.
        noted: `GroupingState.noted`: sentences that may have been said before.
        usable: What can be used.
        told: What was done to single rows.
        hashes: Of its pieces, in the order in which they appear.
        numbers: What they were numbered, shape as `hashes`.
        steps: Those of a stretch.
    """

    measured: list[MeasuredBatch]
    groups: int
    taken: list[tuple[str, Counter[int], int, bool]]
    noted: dict[str, str]
    usable: Usable
    told: Counter[str]
    hashes: NDArray[np.uint64]
    numbers: NDArray[np.int32]
    steps: set[Key]


def measure_range(task: RangeTask) -> MeasuredRange:
    """Measure a range.

    Raises:
        Disordered: A stretch of the log is not in the order of its steps.
        InputError: A file cannot be read.
        OSError: A chunk cannot be read.
        UsageError: Logged advantages are asked for, or needed, but some are not there.
    """
    reading = task.opening.options
    so_far = SoFar(reading, fixed=task.numbers)
    so_far.grouping.sizes = defaultdict(Counter, {run: Counter(sizes) for run, sizes in task.sizes.items()})
    so_far.grouping.taken = []
    prompts = PromptLengths(reading.tokenizer)
    batches = grouped(task.opening, task.log, task.rows, so_far)
    measured = [measured_batch(batch, task.options, prompts) for batch in batches]
    grouping = so_far.grouping
    none = np.zeros(0, np.uint64), np.zeros(0, np.int32)
    pieces = so_far.made_encoder
    hashes, numbers = (pieces.hashes, pieces.numbers) if isinstance(pieces, Pieces) else none
    return MeasuredRange(
        measured,
        grouping.next_group,
        grouping.taken or [],
        grouping.noted,
        so_far.usable,
        so_far.told,
        hashes,
        numbers,
        so_far.handed_out,
    )


def grouped(opening: Opening, number: int, rows: Range | Stretch, so_far: SoFar) -> Iterator[Rollouts]:
    """The groups of a range of a log, in batches."""
    log = opening.logs().logs[number]
    if isinstance(rows, Stretch):
        steps = steps_of(log, rows, so_far.told, so_far.handed_out, opening.memory)
        yield from in_batches(log, steps, opening.options, so_far, Rollouts(pl.DataFrame(), counts=Counter()))
    else:
        yield batch_of(log, [of_step for _, of_step in by_step(read_range(rows))], opening.options, so_far)
