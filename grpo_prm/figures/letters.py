"""Letters that can be drawn: which font has each, how wide it is, and what stands where no font has it."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Iterable
from functools import cache

import matplotlib as mpl
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font, LoadFlags
from matplotlib.patheffects import Normal
from matplotlib.text import Text

from ..errors import FigureWarning

MISSING = "□"  # what is seen where a letter cannot be drawn; the caption says it
SIGNS = {"\n": "⏎", "\t": " "}
LONGEST = 24  # characters of a label
TRUETYPE = b"\0\1\0\0", b"true"  # how such a file begins; of a collection (`ttcf`) the first font tells
Fonts = tuple[str, ...]  # files, the first that has a letter draws it


def fonts_now() -> Fonts:
    """The fonts in which matplotlib draws text under the settings that are in force, those it falls back on last."""
    return fonts_of(tuple(mpl.rcParams["font.family"]))


@cache
def fonts_of(families: tuple[str, ...]) -> Fonts:
    """The fonts of families, each once."""
    # One by one: asked for several families findfont gives one font, and not those to fall back on.
    wanted = (font_manager.FontProperties(family=[family]) for family in families)
    return tuple(dict.fromkeys(font_manager.findfont(one) for one in wanted))


def font_of(character: str, fonts: Fonts) -> str | None:
    """The font that has a character; None: it cannot be drawn."""
    if unicodedata.category(character)[0] == "C":  # a control character has no glyph, whatever a font says
        return None
    return next((font for font in fonts if ord(character) in _glyphs(font)), None)


def drawable(text: str, fonts: Fonts | None = None) -> str:
    """The text with `MISSING` for control characters and for what no font has; line breaks become a sign."""
    fonts = fonts or fonts_now()
    return "".join(c if font_of(c, fonts) else MISSING for c in (SIGNS.get(c, c) for c in text))


def without_glyph(texts: Iterable[str], fonts: Fonts) -> list[str]:
    """The characters of texts that cannot be drawn, each once, in order."""
    return sorted({c for c in set().union(*texts) if c not in SIGNS and font_of(c, fonts) is None})


def warn_of_missing(texts: Iterable[str], fonts: Fonts | None = None) -> None:
    """Warn of letters that no font here has; control characters are nobody's loss."""
    letters = [c for c in without_glyph(texts, fonts or fonts_now()) if unicodedata.category(c)[0] != "C"]
    if letters:
        some = ", ".join(f"U+{ord(c):04X}" for c in letters[:3]) + (", ..." if len(letters) > 3 else "")
        many = "1 letter that" if len(letters) == 1 else f"{len(letters)} letters that"
        warnings.warn(
            f"{many} no installed font has ({some}): {MISSING} in the figure. Install a font with them, such as Noto "
            "Sans CJK, and draw again.",
            FigureWarning,
            stacklevel=3,
        )


def plain(text: str) -> str:
    """Make text of a log safe as a label: no mathtext, no control characters, only glyphs there are, not too long."""
    return safe(cut(text))


def safe(text: str) -> str:
    """The same without regard to its length."""
    # What stands between two dollars would be mathtext, which raises on most texts of a log.
    return drawable(text).replace("$", r"\$")


def cut(text: str) -> str:
    """A text of more than `LONGEST` letters without its middle."""
    # Names of runs differ at their ends: lr, seed, date.
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-(LONGEST // 2 - 1) :]}"


def text_width(text: str, size: float, fonts: Fonts | None = None) -> float:
    """Points that a text of so many points takes."""
    fonts = fonts or fonts_now()
    return size * sum(_advance(c, font_of(c, fonts) or fonts[0]) for c in text)


def shortened(text: str, size: float, points: float, fonts: Fonts | None = None) -> str:
    """As much of a text in a size as fits a width, both in points, and an ellipsis; nothing where no letter fits."""
    if text_width(text, size, fonts) <= points:
        return text
    # Halved and not counted off, since each try adds up the widths of all its letters.
    low, high = 0, len(text)  # characters that fit for sure, and that may
    while low < high:
        middle = (low + high + 1) // 2
        fits = text_width(f"{text[:middle]}…", size, fonts) <= points
        low, high = (middle, high) if fits else (low, middle - 1)
    return f"{text[:low]}…" if low else ""


def outline_others(figure: Figure) -> None:
    """Draw text as outlines where its font is not TrueType: PDF of matplotlib can hold no other as type 42."""
    for text in figure.findobj(Text):
        fonts = fonts_of(tuple(text.get_fontfamily()))
        if not text.get_path_effects() and any(not _is_truetype(font_of(c, fonts)) for c in set(text.get_text())):
            text.set_path_effects([Normal()])


@cache
def _is_truetype(font: str | None) -> bool:
    if font is None:  # an empty box of the first font, which comes with matplotlib
        return True
    with open(font, "rb") as file:
        head = file.read(16)  # of a collection: tag, version, number of fonts, where the first begins
        if head[:4] == b"ttcf":
            file.seek(int.from_bytes(head[12:16]))
            head = file.read(4)
    return head[:4] in TRUETYPE


@cache
def _advance(character: str, font: str) -> float:
    """Width of a character in heights of the font."""
    face = _face(font)
    # Without a scale, in units of the font: hinting rounds widths to pixels of a size that a PDF does not have.
    return face.load_char(ord(character), LoadFlags.NO_SCALE).horiAdvance / face.units_per_EM


@cache
def _face(font: str) -> FT2Font:
    return FT2Font(font)


@cache
def _glyphs(font: str) -> frozenset[int]:
    return frozenset(_face(font).get_charmap())
