"""What `analyze` takes: files, rows in memory, or canonical tables; anything else is refused with what to give."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl

from ..core.group_size import modal_size
from ..core.groups import Groups
from ..core.prm import countable
from ..errors import InputError, UsageError
from ..logs import ReadOptions, fold
from ..logs.grouping.beside_text import without_logprobs_beside_text
from ..logs.memory import rows_as_source
from ..logs.rollouts import BY_LOG, REJECTED, SCHEMA, Rollouts, prompt_counts, validate
from ..logs.rows.roles import end_counts, ends_of_others
from ..logs.rows.told import sentences
from ..logs.sources import Source
from .baseline_by import asked_by, reading_with

T = TypeVar("T")
TAKEN = (
    "Give a file or folder, or several; rows as a list of dicts, a polars or pandas DataFrame or a datasets.Dataset; "
    "Groups; or Rollouts."
)
GROUPS_RUN = "groups"  # name of the run that `Groups` make
GROUPS_NAME = "groups in memory"  # what stands for a file where a completion of theirs is rejected
KINDS: tuple[tuple[str, type | tuple[type, ...]], ...] = (
    ("paths", (str, Path, Source)),
    ("Rollouts", Rollouts),
    ("rows", Mapping),
)


def fold_input(
    log: Any, reading: ReadOptions | None, consume: Callable[[Iterator[Rollouts], bool], T], keep: str | None = None
) -> T:
    """Read whatever `analyze` takes, as `logs.fold` reads files.

    Args:
        log: A path or several; a polars DataFrame or LazyFrame, a pandas DataFrame, a datasets.Dataset or an iterable
            of mappings, whose columns are found as those of a file; `Groups`; a `Rollouts` or several, taken as they
            stand.
        reading: How to read files and rows.
        consume: Goes through the batches and returns a result; must keep nothing from a call that was broken off. Its
            second argument says whether the log was read, and not canonical already.
        keep: A column that comes along where something is read.

    Returns:
        What the last call of `consume` returned.

    Raises:
        UsageError: The log is nothing of the kind, mixes kinds, or is empty; or reading options without reading.
        InputError: Nothing can be read, or a table is not canonical.
    """
    if reading is not None and not isinstance(reading, ReadOptions):
        raise UsageError(f"reading is {_called(reading)}, not ReadOptions. Give reading=grpo_prm.ReadOptions(...).")
    kind, items = _classified(log)
    if kind == "Rollouts":
        if reading not in (None, ReadOptions()):
            raise UsageError("Rollouts are canonical already, so nothing is read. Leave the reading options out.")
        return consume(_canonical(items), False)
    reading = reading_with(reading or ReadOptions(), keep)
    with asked_by(keep):
        if kind == "paths":
            return fold(items, reading, lambda batches: consume(batches, True))
        with rows_as_source(items, reading.run) as source:
            return fold([source], reading, lambda batches: consume(batches, True))


def can_be_read_again(log: Any) -> bool:
    """Whether the log is still there after it was read: an iterator is used up."""
    return not isinstance(log, Iterator)


def _classified(log: Any) -> tuple[str, Any]:
    """The kind of a log (`paths`, `rows` or `Rollouts`), and what it consists of."""
    if (table := _table(log)) is not None:
        return "rows", table
    if isinstance(log, Groups):
        log = _rollouts(log)
    if isinstance(log, str | Path | Rollouts):  # a Rollouts is a tuple: it must not be taken for a list of its fields
        log = [log]
    if isinstance(log, Mapping):
        raise UsageError(
            f"{_called(log)} is no log. Give its rows as a list of dicts: [row]; of columns polars.DataFrame(columns)."
        )
    if isinstance(log, bytes | bytearray) or not isinstance(log, Iterable):
        raise UsageError(f"{_called(log)} is no log. {TAKEN}")
    items = iter(log)
    first = next(items, None)
    if first is None:
        raise UsageError(f"The log is empty. {TAKEN}")
    kind = _kind(first)
    if kind is None:
        raise UsageError(f"The log is {_called(log)} that holds {_called(first)}. {TAKEN}")
    each = _all_of(kind, chain([first], items))
    # Batches of an iterator come one by one, since all of them may not fit in memory; what is there is checked at once.
    return kind, each if kind == "Rollouts" and not isinstance(log, Sequence) else list(each)


def _table(log: Any) -> Any:
    """The rows of a table of polars, pandas or datasets; None for anything else."""
    if isinstance(log, pl.DataFrame | pl.LazyFrame):
        return log
    # Neither library is imported here: who has a table has its library. A subclass may come from a third one.
    kinds = {(base.__module__.partition(".")[0], base.__name__) for base in type(log).__mro__}
    if ("datasets", "Dataset") in kinds:
        return log.to_polars()
    if ("pandas", "DataFrame") in kinds:
        if not log.columns.is_unique:
            raise InputError("The DataFrame has two columns of one name. Rename one of them.")
        return log.astype(object).where(log.notna(), None).to_dict("records")  # NaN is what pandas has for missing
    return None


def _rollouts(groups: Groups) -> Rollouts:
    """Groups as a canonical table: one run without steps or texts, the groups named as the user did, else from 0.

    A completion whose reward or given advantage is not finite, or 1e100 or more, is rejected, as a row of a file is.
    """
    given = {"reward": groups.rewards, "advantage": groups.given}
    fields = {name: values for name, values in given.items() if values is not None}
    wrong = {name: ~countable(values) for name, values in fields.items()}
    usable = ~np.any(list(wrong.values()), axis=0)
    order = np.argsort(groups.groups, kind="stable")  # the rows of a group become neighbours
    order = order[usable[order]]
    dense = groups.groups[order]
    opens = np.flatnonzero(np.diff(dense, prepend=-1))
    k = np.diff(opens, append=len(order))
    ends = np.cumsum(groups.lengths)[:-1]

    def lists(values: np.ndarray) -> list[np.ndarray]:
        rows = np.split(values, ends)
        return [rows[at] for at in order]

    columns = {
        "run": [GROUPS_RUN] * len(order),
        "group": dense,
        "group_key": [str(g) if groups.names is None else groups.names[g] for g in dense.tolist()],
        "sample": np.arange(len(order)) - np.repeat(opens, k),
        "tokens": lists(groups.tokens),
        "mask": None if groups.mask is None else lists(groups.mask),
        "reward": None if groups.rewards is None else groups.rewards[order],
        "advantage": None if groups.given is None else groups.given[order],
        "tokens_from": ["log"] * len(order),
        "run_from": [BY_LOG] * len(order),
    }
    nothing = [None] * len(order)
    series = [  # lists of one length would come out as arrays, whatever is asked for: hence the cast
        pl.Series(name, nothing if columns.get(name) is None else columns[name]).cast(dtype)
        for name, dtype in SCHEMA.items()
    ]
    rejected = []
    for row in np.flatnonzero(~usable).tolist():
        name = next(name for name, flags in wrong.items() if flags[row])
        value = fields[name][row]
        large = f"too large a number to compute with ({value:.3g})"
        reason = large if np.isfinite(value) else f"expected a finite number, got {value}"
        rejected.append((GROUPS_NAME, row + 1, name, reason, ""))
    uneven = int(((k > 1) & (k != modal_size(k.tolist()))).sum())
    counts = Counter(rows_read=len(usable), groups_uneven=uneven)
    return Rollouts(pl.DataFrame(series), pl.DataFrame(rejected, REJECTED, orient="row"), counts)


def _kind(item: Any) -> str | None:
    return next((name for name, types in KINDS if isinstance(item, types)), None)


def _all_of(kind: str, items: Iterable[Any]) -> Iterator[Any]:
    for number, item in enumerate(items, 1):
        if _kind(item) != kind:
            raise UsageError(f"Item {number} of the log is {_called(item)}, but the first is of {kind}. Give one kind.")
        if item == "":
            raise UsageError("The name of a log is empty. Give a file or folder; the working directory is a dot.")
        yield item


def _canonical(batches: Iterable[Rollouts]) -> Iterator[Rollouts]:
    """The batches, checked: each table canonical, no group and no step in two; the last has what was left out."""
    seen: set[int] = set()
    steps: set[tuple[str, int]] = set()
    told: Counter[str] = Counter()
    for batch in batches:
        if not isinstance(batch.table, pl.DataFrame):
            raise UsageError(f"Rollouts hold {_called(batch.table)}. Give them a polars DataFrame.")
        table = without_logprobs_beside_text(validate(batch.table, "rollouts"), told)
        groups = set(table["group"].unique())
        if twice := seen & groups:
            raise InputError(f"rollouts: group {min(twice)} stands in two tables. Put each group whole into one.")
        seen |= groups
        own = set(table.select("run", "step").drop_nulls("step").unique().iter_rows())
        if again := steps & own:
            run, step = min(again)
            raise InputError(f"rollouts: step {step} of run {run} stands in two tables. Put each step whole into one.")
        steps |= own
        # Who made the table may not have counted this; who did has counted the same.
        counts = batch.counts | prompt_counts(table) | end_counts(ends_of_others(table))
        yield batch._replace(table=table, counts=counts)
    if told:
        yield Rollouts(pl.DataFrame(schema=SCHEMA), notes=sentences(told))


def _called(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"
