"""The figures of an analysis as pictures that travel inside the page."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from ..analysis.tables import Tables
from ..figure_tables import reduced, together
from ..figures import FIGURES
from ..figures.captions import captions
from ..figures.saving import figure_of
from ..figures.style import PAPER

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


def pictures(folder: Tables) -> list[Picture]:
    """Draw every figure of the folder again, as SVG."""
    logs = together([folder])
    tables = reduced(logs)
    texts = captions(tables, logs.summaries, logs.unit)  # and not those beside the files: they may be of other figures
    drawn = {name: _svg(figure_of(FIGURES[name](table, unit=logs.unit))) for name, table in tables.items()}
    room, sources = BYTES, dict.fromkeys(drawn)
    for name in sorted(drawn, key=lambda name: len(drawn[name])):
        room -= len(drawn[name]) * 4 // 3
        if room >= 0:
            sources[name] = f"data:image/svg+xml;base64,{base64.b64encode(drawn[name]).decode()}"
    return [Picture(name, texts[name], source) for name, source in sources.items()]


def _svg(figure: Figure) -> bytes:
    file = BytesIO()
    with mpl.rc_context(PAPER):
        figure.savefig(file, format="svg", metadata=_METADATA)
    return file.getvalue()
