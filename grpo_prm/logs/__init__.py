"""Read rollout logs, whatever framework wrote them, as batches of whole groups.

The way of a log: files to runs (`sources`); the format that knows the log (`formats.registry`); what its columns mean
(`columns.matching`); rows, the fast way or the careful way (`rows.columnar`, `rows.records`); whole training steps
(`grouping.steps`); groups (`grouping.groups`, `grouping.draws`); text to units, columns in the canonical order
(`grouping.canonical_table`). `stream` puts it together.

To add a format, write one file in `formats/` with a `FORMAT`, a `format.Format`: a name, a `detect(head)` that knows a
log by the content of its first rows, and an `open(sources, options, head)` that returns a `format.Log`. Put its name in
`formats.registry.FORMATS`; outside this package, give an entry point in the group `grpo_prm.formats` whose object is
the `Format`. Most formats say only what their columns mean and leave the rest to
`generic.open_log(sources, options, head, name, defaults={"prompt": "input"}, change=...)`; `formats/verl.py` is a short
example. A format that must change rows wraps `Log.row_batches`, which yields `records.RowBatch`: rows in the order of
the log with the columns of `records.row_schema(plan)` (`_file`, `_line`, `run`, and as mapped `step`, `key`, `prompt`,
`completion`, `tokens`, `reward`, `reward/NAME`, `advantage`, ...), the rejected rows, and how many bytes they are of.
Everything after that is the same for all formats.

`read` is a plain iterator for logs in which a step, once over, does not come back. `fold` and `collect` read any log:
they start anew, with two passes, when a step comes back after it was handed out.
"""

from __future__ import annotations

from .format import Format, Head, Log
from .formats.registry import FORMATS
from .inspection import Inspection, inspect
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
