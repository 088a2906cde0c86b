"""Read rollout logs, whatever framework wrote them, as batches of whole groups.

A format is one file with a `Format`: a name, a `detect(head)` that knows a log by the content of its first rows, and
an `open(sources, options, head)` that returns a `log.Log`. Most formats only say what their columns mean and leave the
rest to `generic.open_log(sources, options, head, name, defaults={"prompt": "input"}, change=...)`. A format with more
to say wraps `Log.parts`, which yields `records.Part`: rows in the order of the log with the columns of
`records.row_schema(plan)` (`_file`, `_line`, `run`, and as mapped `step`, `key`, `prompt`, `completion`, `tokens`,
`reward`, `reward/NAME`, `advantage`, ...), the rejected rows, and how many bytes they came from. Everything after that
is the same for all: steps are collected (`assemble`), rows grouped (`grouping`), text turned into units, columns put in
the canonical order (`finish`). Register it in `FORMATS`, or outside this package with an entry point in the group
`grpo_prm.formats` whose object is the `Format`.

`read` is a plain iterator for logs in which a step, once over, does not come back. `fold` and `collect` read any log:
they start anew, with two passes, when a step comes back after it was handed out.
"""

from __future__ import annotations

from .formats.registry import FORMATS
from .inspection import Inspection, inspect
from .log import Format, Head, Log
from .options import ReadOptions
from .stream import Disordered, collect, fold, read

__all__ = [
    "FORMATS",
    "Disordered",
    "Format",
    "Head",
    "Inspection",
    "Log",
    "ReadOptions",
    "collect",
    "fold",
    "inspect",
    "read",
]
