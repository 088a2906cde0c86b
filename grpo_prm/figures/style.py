"""What every figure is drawn with: panels and legend, colours, the sentence of an empty axis."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from ..text.amounts import number
from . import venues
from .letters import outline_others, safe, warn_of_missing
from .names import legend_names
from .venues import Venue, venue_of

Unit = Literal["token", "piece", "unit"]  # `unit` where a log mixes both

COLUMN = venues.COLUMN.width  # inches; one column of a two-column paper
PAPER: Any = venues.rc_settings()
# Okabe and Ito's palette, told apart with any colour vision, without its yellow (too pale for a line on white).
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # of runs beside each other: colour is not all
LINE: Any = {"linewidth": 1.2, "markersize": 2.5}  # of a legend, whatever is set
REFERENCE = "0.35"  # grey of a baseline or a null beside one run
BAND = 0.18  # opacity of an interval
INSIDE = 4  # most entries of a legend inside axes
RUNS_NAMED = 8  # runs in a legend; further ones are drawn and counted
RUNS_BANDED = 4  # runs up to which intervals are drawn; those of more would hide each other


Entries = Sequence[tuple[Any, str]]  # of a legend: handle (several in a tuple lie one over the other) and label


@contextmanager
def canvas(
    ax: Axes | Sequence[Axes] | None,
    venue: str,
    shape: tuple[int, int, float],
    entries: Entries = (),
    **options: Any,
) -> Generator[list[Axes]]:
    """Give the panels to draw on: the caller's, in whatever style is set, or those of a new figure in the venue's.

    Args:
        ax: Axes of the caller's, as many as there are panels; the legend goes where the first has room, or right of the
            last if it has more than `INSIDE` entries. None: new ones.
        venue: One of `venues.VENUES`, for a new figure.
        shape: Rows and columns of panels, and the height of the figure as part of the width of a column.
        entries: Handles and labels of the legend.
        **options: Passed on to `Figure.subplots` (sharex, sharey).

    Raises:
        ValueError: Another number of axes is needed.
        UsageError: No venue has that name.
    """
    rows, columns, height = shape
    if ax is not None:
        panels = [ax] if isinstance(ax, Axes) else list(ax)
        if len(panels) != rows * columns:
            raise ValueError(f"this figure has {rows * columns} panels: give as many axes, not {len(panels)}")
        if entries:
            _legend_of_callers(panels, _safe(entries))
        yield panels
        return
    chosen = venue_of(venue)
    with mpl.rc_context(venues.rc_settings(chosen)):
        figure, panels = new_axes(rows, columns, height * COLUMN * chosen.scale, chosen, _safe(entries), **options)
        yield panels
        for text in figure.findobj(Text):
            text.set_linespacing(chosen.leading)
        outline_others(figure)


def new_axes(
    rows: int, columns: int, height: float, width: float | Venue, entries: Entries = (), **options: Any
) -> tuple[Figure, list[Axes]]:
    """Make a figure without pyplot, with its legend above the panels, so that it never lies on data.

    Args:
        rows: Rows of panels.
        columns: Columns of panels.
        height: Inches, with one line of legend; further lines add to it.
        width: A venue, or inches in the type of a column.
        entries: Handles and labels of the legend.
        **options: Passed on to `Figure.subplots` (sharex, sharey).

    Returns:
        The figure and its axes, row by row.
    """
    venue = width if isinstance(width, Venue) else Venue(width, venues.COLUMN.size, venues.COLUMN.small, "DejaVu Sans")
    letter = venue.inches
    inches = 8 * letter + letter * max((len(label) for _, label in entries), default=0)  # of one entry, roughly
    abreast = max(1, min(int(venue.width / inches), len(entries)))
    lines = -(-len(entries) // abreast)
    figure = Figure(figsize=(venue.width, height + 0.0215 * venue.small * max(0, lines - 1)), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    for panel in axes.flat:  # or ticks that are made while drawing look as the caller's settings say
        panel.tick_params(which="both", labelsize=venue.small, labelfontfamily=mpl.rcParams["font.family"])
    if entries:
        handles, labels = zip(*entries, strict=True)
        figure.legend(handles, labels, loc="outside upper center", ncols=abreast)
    return figure, list(axes.flat)


def _safe(entries: Entries) -> Entries:
    """The entries with labels that can be drawn in the fonts that are set."""
    warn_of_missing(label for _, label in entries)
    return [(handle, safe(label)) for handle, label in entries]


def _legend_of_callers(panels: Sequence[Axes], entries: Entries) -> None:
    """A short legend where the first panel has room, a longer one right of the last: it would lie on the data."""
    handles, labels = zip(*entries, strict=True)
    if len(entries) <= INSIDE:
        panels[0].legend(handles, labels)
    else:
        panels[-1].legend(handles, labels, loc="upper left", bbox_to_anchor=(1.02, 1), borderaxespad=0)


def run_entries(runs: Sequence[str], *, marked: bool = True) -> list[tuple[Any, str]]:
    """Legend of the runs: a line of its colour and its marker for each of `RUNS_NAMED`, and how many more there are."""
    names = legend_names(runs)
    entries: list[tuple[Any, str]] = [
        (Line2D([], [], color=colour, marker=markers(runs)[run] if marked else "", **LINE), names[run])
        for run, colour in list(colours(runs).items())[:RUNS_NAMED]
    ]
    if len(runs) > RUNS_NAMED:
        entries.append((Line2D([], [], linestyle="none"), f"and {len(runs) - RUNS_NAMED} more runs"))
    return entries


def colours(runs: Sequence[str]) -> dict[str, str]:
    """Colour of each run, in the order given; from the eighth run on they come again."""
    return {run: PALETTE[i % len(PALETTE)] for i, run in enumerate(runs)}


def markers(runs: Sequence[str]) -> dict[str, str]:
    """Marker of each run, in the order given."""
    return {run: MARKERS[i % len(MARKERS)] for i, run in enumerate(runs)}


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
    axis.set_major_formatter(FuncFormatter(lambda share, _: f"{number(100 * share)} %"))
