"""Where a figure will stand: width, font and sizes of a venue, and what matplotlib is told for it.

Widths and sizes are those of the venues' style files (tueplots 0.2.5 has the same for icml, neurips, iclr, aaai and
beamer, but sets fonts through TeX or by names that a machine may lack). The fonts come with matplotlib, so that a
figure is the same everywhere: STIXGeneral is a Times. Letters that these lack, as Chinese ones, are taken from the
first of `FALLBACKS` that is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import sqrt
from typing import Any

from matplotlib import font_manager

from ..errors import UsageError


@dataclass(frozen=True, slots=True)
class Venue:
    """Inches of a figure, points of its labels and of its smaller text, and the font.

    Attributes:
        width: Inches of a column, or of the text where there is one column.
        size: Points of labels and titles.
        small: Points of ticks and legends.
        font: A font that comes with matplotlib.
        breadth: Mean width of its characters over that of DejaVu Sans.
        leading: From line to line, in heights of a line as matplotlib measures it: those of STIX are tall.
    """

    width: float
    size: float
    small: float
    font: str
    breadth: float = 1.0
    leading: float = 1.2

    @property
    def scale(self) -> float:
        """Factor on heights that were chosen for `column`: with the width, and with the type."""
        return sqrt(self.width / COLUMN.width * self.size * self.breadth / COLUMN.size)

    @property
    def inches(self) -> float:
        """Mean width of a character of the smaller text."""
        return 0.05 * self.small * self.breadth / COLUMN.small


COLUMN = Venue(3.25, 7, 6.5, "DejaVu Sans")
_TIMES: Any = {"font": "STIXGeneral", "breadth": 0.8, "leading": 0.95}
VENUES: dict[str, Venue] = {
    "column": COLUMN,
    "icml": Venue(3.25, 8, 7, **_TIMES),  # icml2025.sty: columns of 3.25 in, captions of 9 pt
    "neurips": Venue(5.5, 9, 8, **_TIMES),  # neurips_2025.sty: text of 5.5 in
    "iclr": Venue(5.5, 9, 8, **_TIMES),  # iclr2025_conference.sty: text of 5.5 in
    "acl": Venue(3.03, 8, 7, **_TIMES),  # acl.sty: text of 16 cm, 0.6 cm between its columns
    "aaai": Venue(3.3, 8, 7, **_TIMES),  # aaai25.sty: columns of 3.3 in
    "beamer": Venue(5.51, 9, 8, "DejaVu Sans"),  # aspectratio=169: text of 140 mm
    "web": Venue(6.5, 9.5, 8.5, "DejaVu Sans"),  # 624 CSS pixels
}


def venue_of(name: str) -> Venue:
    """The venue of that name.

    Raises:
        UsageError: There is none.
    """
    if name not in VENUES:
        raise UsageError(f"No venue is called {name}. Choose one of {', '.join(VENUES)}.")
    return VENUES[name]


_SANS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Arial Unicode MS"),
)
_SERIF = ("Noto Serif CJK SC", "Noto Serif CJK JP", "Source Han Serif SC", "Songti SC", "SimSun", "Yu Mincho", "Batang")
FALLBACKS = {"DejaVu Sans": _SANS, "STIXGeneral": (*_SERIF, *_SANS)}  # of Linux, macOS and Windows


@cache
def fallback(font: str) -> tuple[str, ...]:
    """The first of its fallbacks that is installed, if any is: each has all that another has, but for rare letters."""
    installed = set(font_manager.get_font_names())
    return tuple([name for name in FALLBACKS.get(font, ()) if name in installed][:1])


def rc_settings(venue: Venue = COLUMN) -> dict[Any, Any]:
    """Settings of matplotlib (rcParams) for a venue."""
    return {
        "font.family": list(dict.fromkeys((venue.font, COLUMN.font, *fallback(venue.font)))),
        "font.size": venue.size,
        "mathtext.fontset": "stix" if venue.font == "STIXGeneral" else "dejavusans",
        "axes.labelsize": venue.size,
        "axes.titlesize": venue.size,
        "axes.titlelocation": "left",
        "legend.fontsize": venue.small,
        "xtick.labelsize": venue.small,
        "ytick.labelsize": venue.small,
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
        "svg.fonttype": "path",  # the same letters wherever it is opened
        "svg.hashsalt": "grpo-prm",
        "pgf.rcfonts": False,  # the document's fonts
        "savefig.bbox": None,
    }
