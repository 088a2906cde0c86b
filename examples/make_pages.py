"""The figures of a log in pages of two columns, each at its own size with its caption: `python make_pages.py LOG OUT`.

This is how a reader of a paper meets them, beside one another and beside text. OUT gets page1.png, page2.png, ...; on a
screen of 200 dots per inch, at 100 %, a figure is as large as in print.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.image import imread

import grpo_prm
from grpo_prm.figures import FIGURES, VENUES, captions, save, tables_of
from grpo_prm.figures.letters import text_width
from grpo_prm.figures.logs import join_logs
from grpo_prm.figures.venues import rc_settings

DPI, WIDE, HIGH = 200, 8.5, 11.0  # inches of a page
SIDE, TOP, BETWEEN, AFTER = 0.875, 1.0, 0.25, 0.28  # inches: margins, between columns, after a caption
POINTS, LEADING = 9.0, 10.5  # of a caption, in icml2025.sty
VENUE = "icml"


class Placed(NamedTuple):
    """A figure with its caption, and the left upper corner in inches from that of page `page`."""

    page: int
    left: float
    top: float
    picture: Path
    lines: list[str]


def main(log: Path, out: Path) -> None:
    """Write the pages."""
    out.mkdir(parents=True, exist_ok=True)
    logs = join_logs([grpo_prm.analyze(log)])
    tables = tables_of(logs)
    said = captions(tables, logs.summaries, logs.unit)
    with TemporaryDirectory() as folder, mpl.rc_context(rc_settings(VENUES[VENUE])):
        save(tables, folder, ["png"], unit=logs.unit, venue=VENUE, dpi=DPI)
        pictures = [
            (Path(folder, f"{name}.png"), wrapped(f"Figure {n}. {said[name]}")) for n, name in enumerate(FIGURES, 1)
        ]
        every = placed(pictures)
        for page in range(1, every[-1].page + 1):
            draw([one for one in every if one.page == page], out / f"page{page}.png")


def wrapped(text: str) -> list[str]:
    """A caption in lines of the width of a column."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and text_width(longer, POINTS) > 72 * VENUES[VENUE].width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def placed(pictures: list[tuple[Path, list[str]]]) -> list[Placed]:
    """One below the other, column by column."""
    made, page, column, top = [], 1, 0, TOP
    for picture, lines in pictures:
        height = imread(picture).shape[0] / DPI + (len(lines) + 0.6) * LEADING / 72
        if top + height > HIGH - TOP and top > TOP:
            page, column, top = (page, 1, TOP) if column == 0 else (page + 1, 0, TOP)
        made.append(Placed(page, SIDE + column * (VENUES[VENUE].width + BETWEEN), top, picture, lines))
        top += height + AFTER
    return made


def draw(some: list[Placed], out: Path) -> None:
    """Write one page."""
    figure = Figure(figsize=(WIDE, HIGH), dpi=DPI)
    for one in some:
        image = imread(one.picture)
        height = image.shape[0] / DPI
        figure.figimage(image, one.left * DPI, (HIGH - one.top - height) * DPI)
        for n, line in enumerate(one.lines):
            y = HIGH - one.top - height - (n + 1) * LEADING / 72
            figure.text(one.left / WIDE, y / HIGH, line, size=POINTS, parse_math=False)
    figure.savefig(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
