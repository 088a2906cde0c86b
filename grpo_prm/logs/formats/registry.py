"""The one table of formats, which of them a log is in, and which files of a run are logs at all."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from ...errors import GrpoPrmError, InputError, UsageError
from ..containers.registry import head_records, why_no_records
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..plugins import asked, loaded
from ..sources import Source, family
from .generic import open_log
from .nested_lists import is_rollout

# Asked in this order; each is a module beside this one with a `FORMAT`. The last takes what no other knows.
FORMATS = (
    *("canonical", "trl", "trl_table", "verl"),
    *("traces", "prime_rl", "prime_rl_tokens", "prime_hosted", "verifiers", "rllm", "art"),
    *("nemo_rl", "nemo_gym", "open_instruct", "swift", "skyrl", "areal", "slime", "atropos"),
    *("tinker", "openrlhf"),
    *("inspect_ai", "tau2", "lm_eval", "evalplus", "human_eval", "cruxeval", "reasoning_gym"),
    *("dict_of_lists", "nested_lists", "inner_array", "generic"),
)
# Their records hold rollouts deeper down.
_NESTED = (
    "traces",
    "rllm",
    "art",
    "atropos",
    "inspect_ai",
    "tau2",
    "evalplus",
    "cruxeval",
    "reasoning_gym",
)
# Of any names: whether one is a log its columns must tell.
_ANY = ("dict_of_lists", "nested_lists", "inner_array", "generic")


@cache
def formats() -> dict[str, Format]:
    """All formats by name: those of other packages first, so that they can be more special than ours."""
    known = {f.name: f for f in loaded("grpo_prm.formats")}
    for name in FORMATS:  # imported when a log is opened, not with the package
        module = import_module(f".{name}", __package__)
        known.setdefault(module.FORMAT.name, module.FORMAT)
    return known


def open_run(sources: Sequence[Source], options: ReadOptions) -> Log:
    """Open the files of one run with the format that knows them.

    Files whose names differ in digits only are of one family, and the first of each tells what all of them are. A
    family that is no log (metrics, settings, a summary) is left out, and so are evaluations beside training rollouts;
    a note says so.

    Args:
        sources: The files, in reading order.
        options: `format` overrules detection.

    Raises:
        UsageError: No format is called `options.format`, or a column that is needed is not known.
        InputError: No file has rows, one cannot be read, or they are logs of several kinds.
    """
    chosen = _named(options.format)
    sources = [source._replace(memory=options.memory) for source in sources]
    families: dict[str, list[Source]] = {}
    for source in sources:
        families.setdefault(family(source), []).append(source)
    judged = [_judged(files, options, chosen, alone=len(families) == 1) for files in families.values()]
    logs = [one for one in judged if one.format]
    if not logs:
        raise max(judged, key=lambda one: sum(s.size for s in one.sources)).fault or InputError(
            f"{sources[0].name}: no rows. Name a log with at least one row."
        )
    notes = [note for source in sources for note in source.left_out]
    named_in_vain = [one for one in judged if one.fault and one.sources[0].named]
    if named_in_vain:
        raise named_in_vain[0].fault  # ty: ignore[invalid-raise]
    others = [
        source for one in judged if not one.format and not isinstance(one.fault, NoRows) for source in one.sources
    ]
    unread = [source for one in judged if not one.format and isinstance(one.fault, NoRows) for source in one.sources]
    training = [one for one in logs if one.sources[0].split != "eval"]
    if training and len(training) < len(logs):
        evals = [source for one in logs if one not in training for source in one.sources]
        notes.append(f"Left out, as evaluations are no training rollouts: {_listed(evals)}. Name them to read them.")
        logs = training
    kinds = {(one.format.name, one.head.container, one.columns): one for one in logs if one.format and one.head}
    if len(kinds) > 1:
        raise SeveralKinds(_several_kinds(list(kinds.values())))
    kept = {source.name for one in logs for source in one.sources}
    kept_sources = [source for source in sources if source.name in kept]
    if chosen and logs[0].head and not chosen.detect(logs[0].head):
        log, said = _opened_all_the_same(chosen, kept_sources, options, logs[0].head)
        notes.append(said)
    else:
        log = _opened(logs[0].format, kept_sources, options, logs[0].head)
    for why, files in (("they are no rollouts", others), ("no rows of them can be read", unread)):
        if files:
            notes.append(f"Left out, as {why}: {_listed(files)}.")
    return replace(log, plan=replace(log.plan, notes=(*log.plan.notes, *notes)))


class NoRows(InputError):
    """A file that is damaged, empty or of another kind than logs."""


class SeveralKinds(InputError):
    """Logs of several kinds where one is expected; no reading of them together would be right."""


class _Judged(NamedTuple):
    """A family of files, and what it is: its format and head, or why it is no log.

    `columns` tells logs of the generic format apart.
    """

    sources: list[Source]
    head: Head | None
    format: Format | None
    columns: str = ""
    fault: GrpoPrmError | None = None


def _judged(files: list[Source], options: ReadOptions, chosen: Format | None, *, alone: bool) -> _Judged:
    try:
        head = _head(files)
    except InputError as error:
        return _Judged(files, None, None, fault=NoRows(str(error)))
    known = chosen or _detected(head)
    if alone or (known.name not in _ANY and not chosen):
        return _Judged(files, head, known)
    try:
        plan = _opened(known, files, options, head).plan
    except GrpoPrmError as error:
        return _Judged(files, head, None, fault=error)
    mattering = ("completion", "tokens", "reward", "advantage")
    return _Judged(files, head, known, ", ".join(f"{c} = {plan.paths[c]}" for c in mattering if c in plan.paths))


def _detected(head: Head) -> Format:
    """The format of a log. Rows that hold a completion and its reward nest none, whatever else is logged in them."""
    rows = any(map(is_rollout, head.rows))
    return next(f for name, f in formats().items() if not (rows and name in _NESTED) and asked(f.detect, f.name, head))


def _opened(known: Format | None, sources: Sequence[Source], options: ReadOptions, head: Head | None) -> Log:
    assert known is not None
    assert head is not None
    return known.open(sources, options, head) if known.open else open_log(sources, options, head, format_=known)


def _opened_all_the_same(
    chosen: Format, sources: Sequence[Source], options: ReadOptions, head: Head
) -> tuple[Log, str]:
    """A log that is not in the format which the user names, by its first records, and a note that says so.

    Raises:
        UsageError: The format cannot make rows of it.
    """
    other = _detected(head).name
    looks = "rows with columns of their own names" if other == "generic" else f"a log of {other}"
    try:
        log = _opened(chosen, sources, options, head)
    except GrpoPrmError as error:
        said = str(error).removeprefix(f"{head.name}: ").rstrip(".")
        why = f" ({said})" if "so it is with all" in said else ""
        raise UsageError(
            f"{head.name}: --format {chosen.name}, but the first records are not of that format{why}. Leave --format"
            f" out: they look like {looks}."
        ) from None
    return log, f"The first records are not those of {chosen.name}, which --format names: they look like {looks}."


def _named(name: str | None) -> Format | None:
    """The format that the user names."""
    known = formats()
    if name is None or name in known:
        return known[name] if name else None
    near = difflib.get_close_matches(name, known, 1)
    raise UsageError(
        f"--format {name}: no such format; there are {', '.join(known)}."
        + (f" Did you mean {near[0]}?" if near else "")
    )


def _head(sources: Sequence[Source]) -> Head:
    """The start of the first file that has records."""
    for source in sources:
        container, values = head_records(source)
        if values:
            return Head(container.name, values, source.name, source)
    raise why_no_records(sources[0])


def _several_kinds(logs: list[_Judged]) -> str:
    """Refuse logs of several kinds in one run, with an example of each."""
    kinds = [f"{Path(one.sources[0].name).name} ({one.head.container}, {_name(one)})" for one in logs if one.head]
    folders = {str(Path(one.sources[0].name).parent) for one in logs}
    where = folders.pop() if len(folders) == 1 else "the files of one run"
    more = f" and {len(kinds) - 8} more" if kinds[8:] else ""
    return f"{where}: logs of {len(logs)} kinds: {'; '.join(kinds[:8])}{more}. Name the files of one kind."


def _name(one: _Judged) -> str:
    assert one.format is not None
    return f"{one.format.name}: {one.columns}" if one.columns else one.format.name


def _listed(sources: Iterable[Source]) -> str:
    files = [Path(source.name) for source in sources]
    same = len({file.name for file in files}) < len(files)  # traces.jsonl of each step
    names = ["/".join(file.parts[-3:]) if same else file.name for file in files]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if names[3:] else "")
