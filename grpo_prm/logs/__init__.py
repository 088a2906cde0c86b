"""Read rollout logs, whatever framework wrote them, as batches of whole groups.

The way of a log: arguments to the files of each run (`layouts`); bytes to records (`containers`); the format that knows
the log, and what it makes of a record (`formats`); what the columns of its rows mean (`columns.matching`); rows, the
fast way or the careful way (`rows.columnar`, `rows.records`); whole training steps (`grouping.steps`); groups
(`grouping.groups`, `grouping.draws`); text to units, columns in the canonical order (`grouping.canonical_table`).
`stream` puts it together.

Containers, layouts and formats are open: another package gives its own by the entry points `grpo_prm.containers`,
`grpo_prm.layouts` and `grpo_prm.formats` (docs/formats.md; examples/plugin is one).

`read` is a plain iterator for logs in which a step, once over, does not come back. `fold` and `collect` read any log:
they start anew, with two passes, when a step comes back after it was handed out.
"""

from __future__ import annotations

from .containers.container import Container, Records
from .format import Format, Head, Log, Row
from .formats.registry import FORMATS
from .inspection import Inspection, inspect
from .layouts.layout import Layout
from .options import ReadOptions
from .rows.records import Record, parse
from .rows.values import Bad
from .sources import Source
from .stream import Disordered, collect, fold, read
from .unpacking import unpacked

__all__ = [
    "FORMATS",
    "Bad",
    "Container",
    "Disordered",
    "Format",
    "Head",
    "Inspection",
    "Layout",
    "Log",
    "ReadOptions",
    "Record",
    "Records",
    "Row",
    "Source",
    "collect",
    "fold",
    "inspect",
    "parse",
    "read",
    "unpacked",
]
