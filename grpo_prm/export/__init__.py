"""The implicit process reward model of a log as training data: one file per format (docs/export.md).

A format is one file with a `Format`: its name, the labels that it can hold, and a function from a slice of the log to
rows. What a step is worth comes from `core.groups`, `labels` decides which steps get a label, `tree.step_text` cuts
their text, and `run` streams a log through them into one file. A new format is added to `formats.FORMATS`.
"""

from __future__ import annotations

from .formats import FORMATS
from .options import ExportOptions
from .run import export

__all__ = ["FORMATS", "ExportOptions", "export"]
