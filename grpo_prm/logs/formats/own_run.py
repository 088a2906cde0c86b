"""Logs of evaluations: each file of a folder is a run of its own, of another model or another day."""

from __future__ import annotations

from ..format import Row
from ..sources import Source, stem


def run_of(source: Source) -> Row:
    """The run that the rows of a file name; none where the user named the file, which is a run by itself."""
    return {} if source.named else {"run": f"{source.run}/{stem(source.path)}"}
