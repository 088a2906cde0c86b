"""The figures of an analysis as pictures that travel inside the page."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from ..analysis.tables import Tables
from ..figures import FIGURES, captions, tables_of
from ..figures.logs import join_logs
from ..figures.saving import figure_of
from ..figures.style import PAPER
from .waiting import Move

BYTES = 1_500_000  # of all pictures together; the largest beyond it are left out, and the page names them
_METADATA: dict[str, Any] = {"Date": None, "Creator": "grpo-prm"}  # no date, so that equal data give equal bytes


class Picture(NamedTuple):
    """One figure.

    Attributes:
        name: As its file in figures/ is called.
        caption: What it shows.
        source: A data URI of an SVG, None where there was no room.
    """

    name: str
    caption: str
    source: str | None


def pictures(folder: Tables, move: Move = lambda *_: None) -> list[Picture]:
    """Draw every figure of the folder again, as SVG; `move` hears how many of how many are drawn."""
    logs = join_logs([folder])
    tables = tables_of(logs)
    # Not the captions that lie beside the files: `plot` may have drawn another group, or several logs.
    sentences = captions(tables, logs.summaries, logs.unit)
    drawn = {}
    for name, table in tables.items():
        drawn[name] = _svg(figure_of(FIGURES[name].draw(table, unit=logs.unit)))
        move(len(drawn), len(tables))
    room, sources = BYTES, dict.fromkeys(drawn)
    # The small ones first, so that one tree of a large group costs no other figure its place.
    for name in sorted(drawn, key=lambda name: len(drawn[name])):
        room -= len(drawn[name]) * 4 // 3  # base64 writes three bytes as four
        if room >= 0:
            sources[name] = f"data:image/svg+xml;base64,{base64.b64encode(drawn[name]).decode()}"
    return [Picture(name, sentences[name], source) for name, source in sources.items()]


def _svg(figure: Figure) -> bytes:
    file = BytesIO()
    with mpl.rc_context(PAPER):
        figure.savefig(file, format="svg", metadata=_METADATA)
    return file.getvalue()
