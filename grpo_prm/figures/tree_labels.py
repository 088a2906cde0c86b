"""What is written into the boxes of a tree: their text where all of it fits, else a number, with a key below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .letters import drawable, fonts_now, shortened, text_width

SIZE, LINE = 6.0, 7.0  # points of the text in a box, and of a row that has room for it
EDGE, MARKED = 1.5, 8.0  # points before the text of a box, and of one with a mark
KEYED = 6  # most lines of the key: of shared steps first, and of large boxes
LEADING = 1.45  # of the key, in sizes of its text
HANDLE = 14  # points that the number of a line takes


class Label(NamedTuple):
    """What a box says: `text` in the box; `key` beside that number in the key, where the box has no room for it."""

    text: str
    key: str | None = None


def labels(steps: pl.DataFrame, row: float, points: float) -> list[Label]:
    """The label of each box.

    Args:
        steps: Boxes of `group_tree`, in order.
        row: Points of a row, the height of one completion.
        points: Points of a unit of x.

    Returns:
        One for each box. A box without text, or too small for a number, has none.
    """
    fonts = fonts_now()
    made, left_over = [], []
    for n, box in enumerate(steps.iter_rows(named=True)):
        text = drawable(box["text"] or "", fonts)
        tall = (box["y1"] - box["y0"]) * row >= LINE
        room = (box["x1"] - box["x0"]) * points - before(box) - 1 if tall else 0.0
        fits = text_width(text, SIZE, fonts) <= room
        made.append(Label(text if fits else ""))
        if text.strip() and not fits and room >= text_width(str(KEYED), SIZE, fonts):
            left_over.append((box["size"] == 1, -(box["x1"] - box["x0"]) * (box["y1"] - box["y0"]), n, text))
    for number, (*_, n, text) in enumerate(sorted(sorted(left_over)[:KEYED], key=lambda one: one[2]), 1):
        made[n] = Label(str(number), text)
    return made


def before(box: dict[str, Any]) -> float:
    """Points of a box before its text."""
    return MARKED if box["mark"] else EDGE


def key_height(made: Sequence[Label]) -> float:
    """Inches that the key takes below the tree."""
    lines = sum(label.key is not None for label in made)
    return (lines * LEADING + 0.8) * SIZE / 72 if lines else 0.0


def draw_key(axes: Axes, made: Sequence[Label], *, own: bool) -> None:
    """Write the texts that did not fit beside their numbers: below a figure of ours, right of the caller's axes."""
    figure = axes.get_figure(root=True)
    rows = [(label.text, label.key) for label in made if label.key is not None]
    if not rows or not isinstance(figure, Figure):
        return
    width = 72 * figure.get_figwidth() - HANDLE - 2 * SIZE
    style: Any = {"color": "black", "linestyle": "none", "markeredgewidth": 0}
    handles = [Line2D([], [], marker=rf"$\mathrm{{{number}}}$", markersize=0.7 * SIZE, **style) for number, _ in rows]
    texts = [shortened(key, SIZE, width) for _, key in rows]
    how: Any = {"fontsize": SIZE, "handlelength": 0.8, "handletextpad": 0.5, "labelspacing": 0.25, "borderpad": 0}
    if own:
        legend = figure.legend(handles, texts, loc="outside lower left", **how)
    else:
        marks = axes.get_legend()
        legend = axes.legend(handles, texts, loc="upper left", bbox_to_anchor=(1.02, 1), **how)
        if marks:
            axes.add_artist(marks)
    for text in legend.get_texts():
        text.set_parse_math(False)
