"""Any log of rows whose columns are known by name, and how the files of every format without `open` are opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

from ...errors import InputError, UsageError
from ..columns.first_rows import check_present
from ..columns.kept import not_kept, without_names_of_ours
from ..columns.matching import make_plan
from ..columns.not_rollouts import not_rollouts
from ..columns.plan import Plan
from ..containers.registry import HEAD, containers, head_records
from ..format import Format, Head, Log, Row
from ..options import ReadOptions
from ..sources import Source, family
from .reading import flattener, part_batches, row_batches, rows_of_head

_FILES = 20
_SHARD = re.compile(r"rank|shard|part|worker|gpu|node", re.IGNORECASE)
_ANY_NAMES = ("dict_of_lists", "nested_lists", "inner_array", "trl-table", "verl")


def open_log(
    sources: Sequence[Source],
    options: ReadOptions,
    head: Head,
    name: str = "generic",
    defaults: Mapping[str, str] | None = None,
    change: Callable[[Plan], Plan] | None = None,
    format_: Format | None = None,
) -> Log:
    """Open the files of one run as a log of rows.

    Args:
        sources: Files in reading order, all of one kind of container.
        options: What the user asked for.
        head: The start of the first file.
        name: Name of the format.
        defaults: Canonical column to column of the log, for a format whose names are known.
        change: Last word of the format on the plan.
        format_: A format that says what else there is to say; its `columns` and `plan` where the two above are None.

    Returns:
        The log.

    Raises:
        UsageError: No column holds completions, rewards or groups.
        InputError: No row can be made of the first records.
    """
    flatten = flattener(format_) if format_ and format_.flatten else None
    if format_ and flatten and format_.name not in _ANY_NAMES:
        head = _wider(head, sources)
    rows = head.rows if flatten is None else rows_of_head(head, flatten)
    rows = [row for row in rows if isinstance(row, dict)]
    if flatten is None and head.container == "json" and len(rows) == len(head.rows) == 1:
        raise InputError(not_rollouts(rows, head.name) or _one_object(head))
    if not rows:
        raise InputError(f"{head.name}: the file holds no objects. A log holds one object per completion.")
    if format_ and defaults is None:
        defaults = {**_emitted(format_, rows), **format_.columns}
    for path in options.keep:
        check_present(rows, path, head.name, f"--keep {path}")
    asked = () if name == "canonical" else options.keep  # whose own columns are taken along as they are
    if asked:
        options = replace(options, keep=without_names_of_ours(asked))
    plan = make_plan(rows, options, head.name, defaults, head.container == "csv")
    plan = replace(plan, cautions=(*plan.cautions, *not_kept(asked, {**plan.paths, **plan.reward_columns})))
    said = containers()[head.container].notes(head.source)
    plan = _with_step_of_path(replace(plan, notes=(*said, *plan.notes)), sources, options)
    if (flatten is None or (format_ and format_.name in _ANY_NAMES)) and {"tokens", "mask"} <= plan.paths.keys():
        plan = replace(plan, chat=plan.paths.get("completion"))  # a mask of the log itself: others may be the reader's
    if change:
        plan = change(plan)
    elif format_ and format_.plan:
        plan = format_.plan(plan, rows)
    plan = _with_key_that_is_read(plan, head.name)
    record = format_.record if format_ else None
    how = (tuple(sources), plan, head.container, flatten, record)
    lines = head.container == "jsonl" and flatten is None
    named = format_.name if format_ else name
    return Log(named, tuple(sources), plan, partial(row_batches, *how), partial(part_batches, *how), lines)


def _wider(head: Head, sources: Sequence[Source]) -> Head:
    """The head of a log of one record a file, with the records of more files: a column may lack in the first."""
    rows, size = list(head.rows), head.source.size
    for source in sources[:_FILES] if len(rows) == 1 else ():
        size += 0 if source is head.source else source.size
        if source.pipe or size > HEAD:
            break
        try:
            container, values = head_records(source) if source is not head.source else (None, [])
        except InputError:  # it is refused when it is read
            continue
        rows += values if container and container.name == head.container else []
    return head._replace(rows=rows)


def _emitted(format_: Format, rows: Sequence[Row]) -> dict[str, str]:
    """The group and the problem that a format names in its rows are what it says, and are not weighed by their values.

    Formats that know no framework hand on the names of the log, which may mean anything.
    """
    if format_.flatten is None or format_.name in _ANY_NAMES:
        return {}
    return {name: name for name in ("group", "problem") if all(row.get(name) is not None for row in rows)}


def _with_step_of_path(plan: Plan, sources: Sequence[Source], options: ReadOptions) -> Plan:
    """The plan with the step of the files' paths, where rows have none."""
    named = [source for source in sources if source.step is not None]
    if not named or "step" in plan.paths or options.columns.get("step") == "-":
        return plan
    note = f"No row names a step: steps are those of the paths ({named[0].name}: step {named[0].step})."
    return replace(plan, step_of_file=True, notes=(*plan.notes, note, *_of_one_step(named)))


def _of_one_step(named: Sequence[Source]) -> Iterator[str]:
    """Say that two files of a folder are of one step: as shards one group, but a log cannot tell whether they are."""
    first: dict[tuple[str, int | None], Source] = {}
    for source in named:
        other = first.setdefault((family(source), source.step), source)
        if other is not source and not source.repeats and not _SHARD.search(source.path.name):
            yield (
                f"{other.path.name} and {source.path.name} are both of step {source.step}: their rows of one prompt are"
                " one group. If they are runs of their own, put each in a folder."
            )
            return


def _with_key_that_is_read(plan: Plan, name: str) -> Plan:
    """The plan without what the user switched off among the columns that tell groups apart; refused if none is left."""
    missing = {"key" if c == "group" else c for c in ("group", "prompt", "problem") if c not in plan.paths}
    by = tuple(column for column in plan.by if column not in missing)
    if by:
        return replace(plan, by=by)
    raise UsageError(
        f"{name}: its groups are told apart by {' and '.join(plan.by).replace('key', 'group')}, which is switched off."
        " Read that column, or name another with --columns group=NAME."
    )


def _one_object(head: Head) -> str:
    keys = ", ".join(list(head.rows[0])[:8])
    return (
        f"{head.name}: one JSON object with the keys {keys}: not a known format, and no list of rows."
        " Write its completions as one JSON object per line, each with completion, reward and group."
    )


def _detect(_: Head) -> bool:
    """Any log of rows is taken; what its columns must hold is checked when it is opened."""
    return True


FORMAT = Format("generic", _detect, open=open_log)
