"""How every figure looks: sizes, colours, labels and the sentence of an axis with nothing to draw."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

Unit = Literal["token", "piece"]

COLUMN = 3.25  # inches; one column of a two-column paper
PAPER: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so a figure is the same on every machine
    "font.size": 7,
    "axes.labelsize": 7,
    "axes.titlesize": 7,
    "axes.titlelocation": "left",
    "legend.fontsize": 6.5,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "lines.linewidth": 1.2,
    "lines.markersize": 2.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "legend.handlelength": 1.8,
    "legend.columnspacing": 1.2,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.5,
    "text.usetex": False,
    "pdf.fonttype": 42,  # TrueType, which publishers ask for; the default (type 3) is refused
    "ps.fonttype": 42,
    "svg.hashsalt": "grpo-prm",
    "savefig.bbox": None,
}
# Okabe and Ito's palette, told apart with any colour vision, without its yellow (too pale for a line on white).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
REFERENCE = "0.35"  # grey of a baseline or of chance beside one run
BAND = 0.18  # opacity of an interval
RUNS_NAMED = 8  # runs in a legend; further ones are drawn and counted
RUNS_BANDED = 4  # runs up to which intervals are drawn; those of more would hide each other
LONGEST = 24  # characters of a label


Entries = Sequence[tuple[Any, str]]  # of a legend: handle (several in a tuple lie one over the other) and label


def new_axes(
    rows: int, columns: int, height: float, width: float, entries: Entries = (), **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure without pyplot, with its legend above the panels, so that it never lies on data.

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        height: Inches, with one line of legend; further lines add to it.
        width: Inches; `COLUMN` is one column of a paper.
        entries: Handles and labels of the legend.
        **options: Passed on to `Figure.subplots` (sharex, sharey).

    Returns:
        The figure and its axes, row by row.
    """
    inches = 0.42 + 0.05 * max((len(label) for _, label in entries), default=0)  # of one entry, roughly
    abreast = max(1, min(int(width / inches), len(entries)))
    lines = -(-len(entries) // abreast)
    figure = Figure(figsize=(width, height + 0.14 * max(0, lines - 1)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(handles, labels, loc="outside upper center", ncols=abreast)
    return figure, list(axes.flat)


def given_axes(axes: Sequence[Axes], entries: Entries) -> tuple[Figure, list[Axes]]:
    """Draw into the caller's axes instead: the legend goes where the first has room."""
    figure = axes[0].get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    if entries:
        axes[0].legend(*zip(*entries, strict=True))
    return figure, list(axes)


def run_entries(runs: Sequence[str]) -> list[tuple[Any, str]]:
    """Legend of the runs: a line of its colour for each, up to `RUNS_NAMED`, and how many more there are."""
    entries = [(Line2D([], [], color=colour), plain(run)) for run, colour in list(colours(runs).items())[:RUNS_NAMED]]
    if len(runs) > RUNS_NAMED:
        entries.append((Line2D([], [], linestyle="none"), f"and {len(runs) - RUNS_NAMED} more runs"))
    return entries


def colours(runs: Sequence[str]) -> dict[str, str]:
    """Colour of each run, in the order given; from the eighth run on they come again."""
    return {run: PALETTE[i % len(PALETTE)] for i, run in enumerate(runs)}


def plain(text: str) -> str:
    """Make text of a log safe as a label: no mathtext, no control characters, only glyphs of the font, not too long."""
    glyphs = _glyphs()
    shown = "".join(c if ord(c) in glyphs and unicodedata.category(c)[0] != "C" else "?" for c in text)
    if len(shown) > LONGEST:
        shown = f"{shown[: LONGEST // 2]}…{shown[-(LONGEST // 2 - 1) :]}"
    return shown.replace("$", r"\$")


@cache
def _glyphs() -> frozenset[int]:
    return frozenset(FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap())


def sentence(axes: Axes, text: str) -> None:
    """Say in an axis why it holds no data, instead of leaving it empty."""
    axes.grid(visible=False)
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=REFERENCE, style="italic")


def from_zero(axes: Sequence[Axes]) -> None:
    """Let the axes of values that cannot be negative begin at 0, once all is drawn, so that sizes can be compared."""
    for panel in axes:
        if panel.has_data():
            top = max(other.dataLim.ymax for other in panel.get_shared_y_axes().get_siblings(panel) if other.has_data())
            panel.set_ylim(0, 1.08 * top if top > 0 else 1)


def percent(axis: Axis) -> None:
    """Write the shares in [0, 1] along an axis as percent."""
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:.4g} %"))
