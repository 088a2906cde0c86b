"""A figure in files: every format to the same bytes each time, its data and its caption beside it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from ..errors import UsageError
from ..files import atomic
from ..text.latex import tex
from ..text.sheet import as_csv
from .letters import MISSING
from .venues import rc_settings, venue_of

FORMATS = ("pdf", "png", "svg", "pgf")
TEX = ("xelatex", "lualatex", "pdflatex")  # any of these measures text for pgf; the last has few letters
LATIN = "…\u2013\u2014\u2018\u2019\u201c\u201d\u2212"  # dashes and quotes: beyond letters, what every TeX knows
NO_LETTER = r"\rule{.5em}{1.4ex}"  # what TeX sets for other letters: a black box, which the caption explains
# No dates and no versions in a file, so that equal data give equal bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "pdf": {"CreationDate": None, "Creator": "grpo-prm", "Producer": None},
    "png": {"Software": "grpo-prm"},
    "svg": {"Date": None, "Creator": "grpo-prm"},
}
_FOR = {"pdf": "Subject", "png": "Description", "svg": "Description"}  # where a file says which venue it is for
_VENUE = re.compile(rb"(?:/Subject \(|Description\0|<dc:description>|\n% )for ([a-z]+)")


def checked(formats: Iterable[str]) -> tuple[str, ...]:
    """The formats, each once.

    Raises:
        UsageError: One is unknown, or needs a TeX that is not there.
    """
    formats = tuple(dict.fromkeys(formats))
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UsageError(f"No figure is written as {unknown[0]}. Choose from {', '.join(FORMATS)}.")
    if "pgf" in formats and not _tex():
        raise UsageError(f"pgf needs {TEX[0]} to measure its text, and no TeX is installed. Install one, or take pdf.")
    return formats


def save_figure(
    drawn: Figure | Axes | Sequence[Axes],
    table: pl.DataFrame,
    folder: str | Path,
    name: str,
    formats: Iterable[str] = ("pdf", "png"),
    *,
    venue: str = "column",
    caption: str | None = None,
    dpi: int = 300,
) -> list[Path]:
    """Write one figure and, under the same name, its table as CSV and its caption as text.

    Files of the same name in other formats are taken away if they show another table.

    Args:
        drawn: A figure, or what a function of `figures` returned.
        table: What it shows.
        folder: Made if it is not there.
        name: Of the files.
        formats: Of `FORMATS`.
        venue: What the figure was made for.
        caption: A sentence.
        dpi: Dots per inch of PNG.

    Returns:
        The files written: figures, CSV, caption.
    """
    figure, data, formats = figure_of(drawn), Path(folder, f"{name}.csv"), tuple(formats)
    if caption is not None and "pgf" in formats and any(_lost(text.get_text()) for text in figure.findobj(Text)):
        caption += " In the pgf a black box stands for each letter that not every TeX has."
    written = [Path(folder, f"{name}.{suffix}") for suffix in formats]
    text = as_csv(table)
    settings: Any = rc_settings(venue_of(venue)) | ({"pgf.texsystem": _tex()} if "pgf" in formats else {})
    with mpl.rc_context(settings):
        if alike := [path for path in written if path.suffix != ".pgf"]:
            with _laid_out(figure, dpi):
                _write(figure, alike, dpi, venue)
        with _for_tex(figure):  # TeX measures its own text
            _write(figure, [path for path in written if path.suffix == ".pgf"], dpi, venue)
    # Only now, so that a process that is killed here leaves figures, by which the next one knows the data as ours.
    if not data.is_file() or data.read_text(encoding="utf-8") != text:
        for suffix in (suffix for suffix in FORMATS if suffix not in formats):
            Path(folder, f"{name}.{suffix}").unlink(missing_ok=True)
    with atomic(data) as part:
        part.write_text(text, encoding="utf-8")
    written.append(data)
    if caption is not None:
        with atomic(Path(folder, f"{name}.txt")) as part:
            part.write_text(f"{caption}\n", encoding="utf-8")
        written.append(Path(folder, f"{name}.txt"))
    return written


def _write(figure: Figure, paths: Iterable[Path], dpi: int, venue: str) -> None:
    for path in paths:
        suffix = path.suffix[1:]
        with atomic(path) as part:
            if suffix == "pgf":  # which has no metadata
                figure.savefig(part, format=suffix)
                with part.open("a", encoding="utf-8") as file:
                    file.write(f"\n% for {venue}\n")
            else:
                about = _METADATA[suffix] | {_FOR[suffix]: f"for {venue}"}
                figure.savefig(part, format=suffix, dpi=dpi, metadata=about)


def venue_in(file: Path) -> str | None:
    """The venue that a figure of ours was drawn for; None where it does not say."""
    found = _VENUE.search(file.read_bytes())
    return found[1].decode() if found else None


def _tex() -> str | None:
    """The TeX that there is."""
    return next((name for name in TEX if shutil.which(name)), None)


def figure_of(drawn: Figure | Axes | Sequence[Axes]) -> Figure:
    """The figure of what a function of `figures` returned.

    Raises:
        ValueError: The axes have been taken out of theirs.
    """
    if isinstance(drawn, Figure):
        return drawn
    figure = (drawn if isinstance(drawn, Axes) else drawn[0]).get_figure(root=True)
    if figure is None:
        raise ValueError("the axes belong to no figure")
    return figure


@contextmanager
def _laid_out(figure: Figure, dpi: float) -> Generator[None]:
    """Keep the places that text measured at this resolution asks for: a layout for each format takes as long again."""
    engine, before = figure.get_layout_engine(), figure.dpi
    if engine is None:
        yield
        return
    figure.dpi = dpi
    engine.execute(figure)
    figure.dpi = before
    with mpl.rc_context({"figure.autolayout": False, "figure.constrained_layout.use": False}):
        figure.set_layout_engine(None)
    try:
        yield
    finally:
        figure.set_layout_engine(engine)


@contextmanager
def _for_tex(figure: Figure) -> Generator[None]:
    """Write text so that TeX reads it as it is meant, and put it back; signs that matplotlib escapes stay."""
    texts = {text: text.get_text() for text in figure.findobj(Text)}
    effects = {text: text.get_path_effects() for text in texts}  # outlines, of letters that TeX does not get
    for text, shown in texts.items():
        text.set_path_effects([])
        text.set_text("\n".join(_line_for_tex(line) for line in shown.replace(r"\$", "$").split("\n")))
    try:
        yield
    finally:
        for text, shown in texts.items():
            text.set_text(shown)
            text.set_path_effects(effects[text])


def _line_for_tex(line: str) -> str:
    """A line as any TeX can set it: a black box for letters beyond Latin; matplotlib makes % safe itself."""
    known = (MISSING if _lost(c) else c for c in line.replace("⏎", " "))
    return tex("".join(known)).replace(r"\%", "%").replace(MISSING, NO_LETTER)


def _lost(text: str) -> bool:
    """Whether it has a letter that not every TeX has."""
    return any(not (ord(c) < 0x180 or c in LATIN or c == "⏎" or tex(c) != c) for c in text)
