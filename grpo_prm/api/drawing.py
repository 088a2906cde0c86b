"""One figure of an analysis, for a notebook or a file."""

from __future__ import annotations

from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from ..analysis.tables import Tables
from ..errors import UsageError
from ..figures import FIGURES, captions, tables_of
from ..figures.logs import join_logs
from ..figures.saving import figure_of
from ..figures.venues import rc_settings, venue_of
from ..files import atomic

SUFFIXES = (".pdf", ".png", ".svg")
DPI = 300  # of a .png
SHOWN_DPI = 150  # of the picture in a notebook


def drawn(tables: Tables, name: str, *, group: str | None, venue: str) -> Figure:
    """Draw the figure called `name`.

    Returns:
        The figure. It was made without pyplot, which nothing here imports, so it brings its own picture for notebooks.

    Raises:
        UsageError: There is no such figure, group or venue.
    """
    if name not in FIGURES:
        near = get_close_matches(str(name), FIGURES, 1)
        hint = f"Did you mean {near[0]}?" if near else f"Choose from {', '.join(FIGURES)}."
        raise UsageError(f"No figure is called {name}. {hint}")
    venue_of(venue)
    logs = join_logs([tables], group=group)
    figure = figure_of(FIGURES[name].draw(tables_of(logs, [name])[name], unit=logs.unit, venue=venue))
    # IPython asks the object for it; without pyplot no backend has told it how a Figure looks.
    vars(figure)["_repr_png_"] = lambda: _png(figure, venue)
    return figure


def picture(tables: Tables, name: str, venue: str) -> tuple[bytes, str]:
    """A figure as PNG, and its caption."""
    logs = join_logs([tables])
    table = tables_of(logs, [name])
    figure = figure_of(FIGURES[name].draw(table[name], unit=logs.unit, venue=venue))
    return _png(figure, venue), captions(table, logs.summaries, logs.unit)[name]


def written(figure: Figure, path: Path, venue: str) -> None:
    """Write the figure, whole or not at all; the suffix says what kind of file.

    Raises:
        UsageError: Another suffix, or the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise UsageError(f"{path}: a figure is written as {', '.join(SUFFIXES)}. Give it one of these endings.")
    settings: Any = rc_settings(venue_of(venue))
    with atomic(path) as part, mpl.rc_context(settings):
        figure.savefig(part, format=path.suffix[1:], dpi=DPI)


def _png(figure: Figure, venue: str) -> bytes:
    file, settings = BytesIO(), rc_settings(venue_of(venue))
    with mpl.rc_context(settings):
        figure.savefig(file, format="png", dpi=SHOWN_DPI)
    return file.getvalue()
