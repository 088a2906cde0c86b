"""What a figure of logs is: a table made of the analyses, a drawing of that table, and a caption with its numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import polars as pl

from .logs import Logs

Draw = Callable[..., Any]  # (table, ax=None, *, unit, venue), returns the axes that it drew on
Summaries = Mapping[str, Mapping[str, Any]]  # content of summary.json of each log, by the name of the log


class Captioned(NamedTuple):
    """What a caption is made of: the table of the figure, the summaries of its logs, and what is counted."""

    table: pl.DataFrame
    summaries: Summaries
    unit: str


class LogFigure(NamedTuple):
    """One figure of one or more logs.

    Attributes:
        name: Of the drawing in `grpo_prm.figures`, of `--select` and of the files.
        table: What it shows, made of the analyses; a log without the data gives a table without rows.
        draw: Draws the table and computes nothing.
        caption: The numbers that it comes to, as one sentence without the size of the logs and without a full stop.
    """

    name: str
    table: Callable[[Logs], pl.DataFrame]
    draw: Draw
    caption: Callable[[Captioned], str]
