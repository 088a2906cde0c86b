"""Results of ranges put together in the order of the log, each as it is with the steps before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import deepcopy

from ..analysis.measured_batch import MeasuredBatch, numbered_from
from ..analysis.running import RunningAnalysis
from ..analysis.running_sums import RunningSums
from ..analysis.tables import Tables
from ..logs.grouping.draws import usual_size
from ..logs.rollouts import Rollouts
from ..logs.stream import SoFar
from ..logs.tokenize import free_numbers
from .measuring import MeasuredRange, RangeTask, measure_range
from .opening import Opening


class Merged:
    """Adds up ranges, and measures again those that the steps before them change.

    Args:
        opening: The logs.
        running: Where the numbers go; its divisor is known.

    Attributes:
        usable: What can be used.
        again: Ranges that were measured a second time.
    """

    def __init__(self, opening: Opening, running: RunningAnalysis) -> None:
        self._running, self._so_far = running, SoFar(opening.options)
        self._given = opening.options.group_size
        self._number_of: dict[int, int] = {}  # of each piece, by its hash
        self._taken: set[int] = set()
        self.usable = self._so_far.usable
        self.again = 0

    def tables(self, notes: Iterable[str]) -> Tables:
        """The summary and the tables, with further notes."""
        return self._running.tables((*self._so_far.notes, *notes))

    def begin(self, head: Rollouts, told: Counter[str]) -> None:
        """Begin a log: what is known of it beside its groups."""
        self._so_far.told.update(told)
        self.usable.rows += head.counts["rows_read"]
        self.usable.add(head)
        sums = RunningSums()
        sums.add(head)
        self._running.take_head(sums, head.rejected)

    def add(self, task: RangeTask, result: MeasuredRange) -> None:
        """Add the next range.

        Args:
            task: What was to be measured.
            result: What came of it, as if nothing stood before it.
        """
        before = deepcopy(dict(self._so_far.grouping.sizes))
        numbers = self._numbers(result)
        if not self._same_sizes(result) or numbers:
            self.again += 1
            result = measure_range(task._replace(sizes=before, numbers=numbers))
        self._so_far.told.update(result.told)
        self.usable.merge(result.usable)
        grouping = self._so_far.grouping
        said = {text for kind, text in result.noted.items() if kind in grouping.noted}
        grouping.noted |= {kind: text for kind, text in result.noted.items() if kind not in grouping.noted}
        for batch in result.measured:
            self._running.take(_without_notes(numbered_from(batch, grouping.next_group), said))
        grouping.next_group += result.groups

    def _same_sizes(self, result: MeasuredRange) -> bool:
        """Are the modal sizes of its steps the same behind all steps before? Their sizes are remembered."""
        found = [
            usual_size(self._so_far.grouping, run, known, self._given) == (k, clear)
            for run, known, k, clear in result.taken
        ]
        return all(found)

    def _numbers(self, result: MeasuredRange) -> dict[int, int]:
        """Numbers of pieces that are others behind all steps before, with those of all pieces of the range."""
        hashes = result.hashes.tolist()
        new = [one for one in hashes if one not in self._number_of]
        self._number_of.update(zip(new, free_numbers(new, self._taken, {}), strict=True))
        fixed = {one: self._number_of[one] for one in hashes}
        return fixed if list(fixed.values()) != result.numbers.tolist() else {}


def _without_notes(batch: MeasuredBatch, said: set[str]) -> MeasuredBatch:
    """A batch without the notes that were given before."""
    for note in said:
        batch.sums.notes.pop(note, None)
    return batch
