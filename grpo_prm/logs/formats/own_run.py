"""Logs of evaluations: each file of a folder is a run of its own, of another model or another day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..columns.plan import Plan
from ..format import Row
from ..sources import Source, stem


def run_of(source: Source) -> Row:
    """The run that the rows of a file name; none where the user named the file, which is a run by itself."""
    return {} if source.named else {"run": f"{source.run}/{stem(source.path)}"}


def own_runs(plan: Plan, _rows: Sequence[Row]) -> Plan:
    """The plan of rows whose run is that of `run_of`."""
    return replace(plan, run_of_file=True)
