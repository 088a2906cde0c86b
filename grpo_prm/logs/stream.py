"""From paths to batches of whole groups: what `read`, `fold` and `collect` do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from ..errors import GrpoPrmError, InputError
from ..machine import memory
from .changing import Stamp, changed
from .columns.keys import key_of_groups
from .format import Log
from .formats.registry import SeveralKinds, open_run
from .grouping.canonical_table import canonical_table
from .grouping.draws import GroupingState
from .grouping.groups import into_groups
from .grouping.steps import PART, RANGE, ClosedSteps, Disordered, Key, in_order, sorted_on_disk
from .layouts.find import find_sources
from .options import ReadOptions
from .rollouts import SCHEMA, Rollouts, merged_methods
from .rows.records import RowBatch
from .rows.told import sentences
from .sources import Source
from .usable import Usable

if TYPE_CHECKING:
    from .tokenize import Pieces, Tokens

T = TypeVar("T")
HELD = 12  # times what one range of a log sorted on disk may have: rows of open steps, which stand there once
EMPTY = "Empty, with nothing in the loss: {completions}."
HAS_TOKENS = "The log has tokens, which are taken as they are: --tokenizer makes no others."


def read(paths: Sequence[str | Path] | str | Path, options: ReadOptions | None = None) -> Iterator[Rollouts]:
    """Read logs as batches of whole groups, in memory that follows the largest step.

    Args:
        paths: Files and folders, or `-` for standard input.
        options: How to read.

    Yields:
        Batches: rows of a group are neighbours, groups are numbered on and on over all batches, a step is whole, and
        the steps of a run come in order. Over
        all batches counts["rows_read"] is the number of rows in the tables, of rejected rows and of `rows_joined`
        (turns that went into the first of their rollout) together. Groups of one are in the table.

    Raises:
        UsageError: An option that does not fit this log.
        InputError: A path that is no log, no usable row, or no group with two completions.
        Disordered: A step came after a later one was handed out; `fold` and `collect` then read again, with
            `ordered=False`.

    Examples:
        >>> import grpo_prm
        >>> sum(batch.table.height for batch in grpo_prm.read_rollouts("examples/chain.jsonl"))
        1280
    """
    options = options or ReadOptions()
    yield from open_all(paths, options).batches()


def fold(
    paths: Sequence[str | Path | Source] | str | Path,
    options: ReadOptions | None,
    consume: Callable[[Iterator[Rollouts]], T],
) -> T:
    """Give the batches of `read` to `consume`, and start anew if the log turns out not to be in order.

    Args:
        paths: As for `read`; or the source of rows in memory (`memory.rows_as_source`).
        options: As for `read`.
        consume: Goes through the batches and returns a result; must keep nothing from a call that was broken off.

    Returns:
        What the last call of `consume` returned.
    """
    return open_all(paths, options or ReadOptions()).fold(consume)


def collect(paths: Sequence[str | Path] | str | Path, options: ReadOptions | None = None) -> Rollouts:
    """Read a whole log into one table; raises what `read` raises, but for `Disordered`."""
    return fold(paths, options, merge)


def merge(batches: Iterable[Rollouts]) -> Rollouts:
    """Put batches together; at least one."""
    every = list(batches)
    return Rollouts(
        pl.concat([b.table for b in every], how="diagonal"),
        pl.concat([b.rejected for b in every]),
        sum((b.counts for b in every), Counter()),
        tuple(dict.fromkeys(note for b in every for note in b.notes)),
        ", ".join(dict.fromkeys(b.format for b in every)),
        tuple(dict.fromkeys(name for b in every for name in b.files)),
        merged_methods(b.methods for b in every),
    )


def open_all(paths: Sequence[str | Path | Source] | str | Path, options: ReadOptions) -> Logs:
    """Open the logs behind the arguments, one for each run."""
    paths = [paths] if isinstance(paths, str | Path) else paths
    ready = [source for source in paths if isinstance(source, Source)]  # of `memory`: they are nobody's files
    sources = ready or find_sources([path for path in paths if not isinstance(path, Source)], options.run)
    runs = [list(files) for _, files in groupby(sources, key=lambda s: s.run)]
    logs: list[Log] = []
    faults: list[tuple[list[Source], GrpoPrmError]] = []
    for files in runs:
        try:
            logs.append(open_run(files, options))
        except GrpoPrmError as error:
            if isinstance(error, SeveralKinds) or any(file.named for file in files):
                raise
            faults.append((files, error))
    if not logs:  # the reason of the largest run: beside it may lie settings and metrics
        raise max(faults, key=lambda fault: sum(file.size for file in fault[0]))[1]
    _check_alike(logs)
    first = logs[0].plan
    ignored = [HAS_TOKENS] if options.tokenizer and first.unit == "tokens" else []
    told = [*_left_out([error for _, error in faults]), *ignored]
    logs[0] = replace(logs[0], plan=replace(first, notes=(*first.notes, *told)))
    return Logs(tuple(logs), options)


def _left_out(errors: Sequence[GrpoPrmError]) -> list[str]:
    """What is said of folders that hold no log."""
    told = [f"Left out: {str(error).partition('. ')[0]}."[:300] for error in errors]
    hold = "1 more folder holds" if len(told) == 4 else f"{len(told) - 3} more folders hold"
    return [*told[:3], *([f"{hold} no rollouts and are left out."] if told[3:] else [])]


def _check_alike(logs: Sequence[Log]) -> None:
    """Refuse runs that count in other units, and those of a folder that are in other formats."""
    units = {log.plan.unit: log.sources[0].name for log in logs}
    if len(units) > 1:
        raise SeveralKinds(
            f"{units['completion']} has text alone, {units['tokens']} has token ids: their units differ, and no number"
            " of both together would be right. Give the logs of one unit at a time, or compare their analyses."
        )
    found = {log.format: log for log in logs if not log.sources[0].named}
    if len(found) > 1:
        kinds = [f"{log.sources[0].name} ({name})" for name, log in found.items()]
        raise SeveralKinds(
            f"Logs of {len(kinds)} formats in one folder: {'; '.join(kinds[:8])}. Name those that belong together."
        )


@dataclass
class SoFar:
    """What a reader remembers from batch to batch, and of a log that grows from one file to the next.

    Attributes:
        options: How to read.
        grouping: Sizes and numbers of groups.
        usable: What can be used.
        handed_out: Steps that are over.
        told: What was done to single rows.
        fixed: As for `tokenize.Pieces`.
    """

    options: ReadOptions
    grouping: GroupingState = field(default_factory=GroupingState)
    usable: Usable = field(default_factory=Usable)
    handed_out: set[Key] = field(default_factory=set)
    told: Counter[str] = field(default_factory=Counter)
    fixed: Mapping[int, int] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about what was counted until now."""
        empty = Counter({EMPTY: self.usable.empty} if self.usable.empty else {})
        return sentences(self.told + empty)

    def encoder(self) -> Pieces | Tokens:
        """What turns text into units: one for all batches, since it numbers the pieces that it meets."""
        return self._encoder

    @property
    def made_encoder(self) -> Pieces | Tokens | None:
        """The encoder, where the log needed one."""
        return self.__dict__.get("_encoder")

    @cached_property
    def _encoder(self) -> Pieces | Tokens:
        from .tokenize import load  # imports `tokenizers`, which a log of ids does not need

        return load(self.options.tokenizer, self.fixed)


@dataclass(frozen=True, slots=True)
class Logs:
    """Opened logs, one for each run, and how to read them."""

    logs: tuple[Log, ...]
    options: ReadOptions

    def batches(self) -> Iterator[Rollouts]:
        """See `read`."""
        so_far = SoFar(self.options)
        try:
            yield from self.more(so_far)
        except Disordered:
            raise
        except InputError as error:
            raise self.with_changes(error) from None
        names = [source.name for log in self.logs for source in log.sources]
        so_far.usable.check(names, key_of_groups(self.logs[0].plan))
        if notes := (*so_far.notes, *self.changed()):  # all is counted by now
            yield _named(Rollouts(pl.DataFrame(schema=SCHEMA), notes=notes), self.logs[-1], ())

    def with_changes(self, error: InputError) -> InputError:
        """The error, after the files that were written to meanwhile, which may be why."""
        written = " ".join(self.changed())
        return InputError(f"{written} {error}") if written else error

    def changed(self) -> Iterator[str]:
        """A sentence for each file that was written to since it was found."""
        files = (source for log in self.logs for source in log.sources if source.modified)
        return changed((source.name, source.path, Stamp(source.size, source.modified)) for source in files)

    def more(self, so_far: SoFar) -> Iterator[Rollouts]:
        """The batches of these logs behind those of earlier ones.

        Args:
            so_far: What is known of the earlier ones; grows.
        """
        for log in self.logs:
            closed = self._closed_steps(log, so_far.handed_out, so_far.told)
            yield from in_batches(log, self._reported(log, closed, so_far.usable), self.options, so_far, head_of(log))

    def fold(self, consume: Callable[[Iterator[Rollouts]], T]) -> T:
        """See `fold`."""
        try:
            return consume(self.batches())
        except Disordered:
            return consume(replace(self, options=replace(self.options, ordered=False)).batches())

    def _closed_steps(self, log: Log, handed_out: set[Key], told: Counter[str]) -> Iterator[ClosedSteps]:
        batches = _counted(log.row_batches(), told)
        # Asked before anything is held: what is free becomes less while the log is read.
        size = self.options.memory or memory()
        if self.options.ordered:
            return in_order(batches, log, handed_out, min(size // PART, RANGE) * HELD, size)
        return sorted_on_disk(batches, log, handed_out, size)

    def _reported(self, log: Log, steps: Iterable[ClosedSteps], usable: Usable) -> Iterator[ClosedSteps]:
        """The steps as they are; whoever shows how far the reading is hears of each."""
        at, passes = self.logs.index(log), 1 if self.options.ordered else 2
        sizes = [passes * sum(s.size for s in other.sources) for other in self.logs]
        for closed in steps:
            if self.options.progress:
                self.options.progress(sum(sizes[:at]) + closed.done, sum(sizes), usable.rows + closed.read)
            yield closed


def in_batches(
    log: Log, steps: Iterable[ClosedSteps], options: ReadOptions, so_far: SoFar, head: Rollouts
) -> Iterator[Rollouts]:
    """The steps of a log, or of a part of it, as batches.

    Args:
        log: Where they come from.
        steps: Whole steps, in order.
        options: How to read.
        so_far: What is known of the batches before; grows.
        head: Counts, notes and rejected rows to go out with the first batch.
    """
    counts, notes, rejected = head.counts, head.notes, [head.rejected]
    # Counts, notes and rejected rows of a chunk that closes no step wait for the next batch that goes out.
    for closed in steps:
        so_far.usable.rows += closed.read
        counts["rows_read"] += closed.read
        rejected.append(closed.rejected)
        if closed.rows:
            before = Rollouts(pl.DataFrame(), pl.concat(rejected), counts, notes)
            counts, notes, rejected = Counter(), (), []
            yield batch_of(log, closed.rows, options, so_far, before)
    if rejected:  # behind the last step, or in a log without a usable row
        batch = _named(Rollouts(pl.DataFrame(schema=SCHEMA), pl.concat(rejected), counts, notes), log, ())
        so_far.usable.add(batch)
        yield batch


def head_of(log: Log) -> Rollouts:
    """What is known of a log before its rows: a batch without any."""
    counts = Counter(files_repeated=sum(s.repeats is not None for s in log.sources))
    notes = (*log.plan.notes, *log.plan.cautions, *_repeated(log))
    return _named(Rollouts(pl.DataFrame(schema=SCHEMA), counts=counts, notes=notes), log, ())


def batch_of(
    log: Log, steps: Sequence[pl.DataFrame], options: ReadOptions, so_far: SoFar, before: Rollouts | None = None
) -> Rollouts:
    """The rows of whole steps as a batch of whole groups.

    Args:
        log: Where they come from.
        steps: A table each, in order.
        options: How to read.
        so_far: What is known of the batches before; grows.
        before: Rejected rows, counts and notes to go out with it.
    """
    before = before or Rollouts(pl.DataFrame())
    grouped = into_groups(steps, log.plan, options, so_far.grouping, log.sources)
    so_far.told.update(grouped.told)
    table = canonical_table(grouped.rows, log.plan, so_far.encoder, so_far.told)
    origins = pl.concat([rows.select("_file", "run") for rows in steps]).unique(maintain_order=True).rows()
    rejected = pl.concat([before.rejected, grouped.rejected])
    batch = Rollouts(table, rejected, before.counts + grouped.counts, before.notes + grouped.notes)
    batch = _named(batch, log, origins)
    so_far.usable.add(batch)
    return batch


def _counted(batches: Iterable[RowBatch], told: Counter[str]) -> Iterator[RowBatch]:
    """The batches as they are; what was done to their rows is added up."""
    for batch in batches:
        told.update(batch.told)
        yield batch


def _named(batch: Rollouts, log: Log, origins: Iterable[tuple[int, str]]) -> Rollouts:
    """A batch with its format, the files that its rows, the rejected ones too, came from, and its runs' methods.

    Args:
        batch: Without all that.
        log: Where it comes from.
        origins: File (place among those of the log) and run of its rows.
    """
    came = [(log.sources[index], run) for index, run in origins]
    names = {source.name for source, _ in came} | set(batch.rejected["file"])
    methods = merged_methods({run: frozenset([source.method])} for source, run in came)
    files = tuple(s.name for s in log.sources if s.name in names)
    return batch._replace(format=log.format, files=files, methods=methods)


def _repeated(log: Log) -> Iterator[str]:
    """Say which files hold the rows of others."""
    again = [source for source in log.sources if source.repeats]
    if again:
        one, other = again[0].name, again[0].repeats or ""
        if Path(one).name != Path(other).name:  # of one name in two folders it takes the folders to tell them apart
            one, other = Path(one).name, Path(other).name
        first = f"{one} those of {other}"
        more = f"{len(again)} files hold the rows of earlier ones and are left out" if again[1:] else ""
        yield f"{more or 'One file holds the rows of an earlier one and is left out'} ({first})."
