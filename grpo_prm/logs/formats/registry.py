"""The one table of formats, and which of them a log is in."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from ...errors import InputError, UsageError
from ..containers import container, head_rows, why_no_rows
from ..format import Format, Head, Log
from ..options import ReadOptions
from ..sources import Source

# Asked in this order; each is a module beside this one with a `FORMAT`. The last takes what no other knows.
FORMATS = ("canonical", "trl", "verl", "generic")


@cache
def formats() -> dict[str, Format]:
    """All formats by name: those of other packages first, so that they can be more special than ours."""
    known = {f.name: f for f in (point.load() for point in entry_points(group="grpo_prm.formats"))}
    for name in FORMATS:  # imported when a log is opened, not with the package
        module = import_module(f".{name}", __package__)
        known.setdefault(module.FORMAT.name, module.FORMAT)
    return known


def open_run(sources: Sequence[Source], options: ReadOptions) -> Log:
    """Open the files of one run with the format that knows them.

    Args:
        sources: The files, in reading order.
        options: `format` overrules detection.

    Raises:
        UsageError: No format is called `options.format`.
        InputError: No file has rows, one cannot be read, or they are of different containers.
    """
    known = formats()
    if options.format is not None and options.format not in known:
        near = difflib.get_close_matches(options.format, known, 1)
        raise UsageError(
            f"--format {options.format}: no such format; there are {', '.join(known)}."
            + (f" Did you mean {near[0]}?" if near else "")
        )
    head = _head(sources)
    for source in sources:
        if source.size and not source.repeats and (other := container(source)) != head.container:
            raise InputError(
                f"{source.name}: {other}, but {head.name} of the same run is {head.container}:"
                " logs of different formats. Name the files you mean."
            )
    chosen = known[options.format] if options.format else next(f for f in known.values() if f.detect(head))
    return chosen.open(sources, options, head)


def _head(sources: Sequence[Source]) -> Head:
    """The start of the first file that has rows."""
    for source in sources:
        kind, rows = head_rows(source)
        if rows:
            return Head(kind, rows, source.name, source)
    raise why_no_rows(sources[0])
