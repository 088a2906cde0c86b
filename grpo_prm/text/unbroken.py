"""Numbers that stay on one line with what belongs to them, on pages that break lines where there is a space."""

from __future__ import annotations

import re

NARROW = 24  # characters of brackets that are kept together: more would not fit a narrow column
# Before a sign of percent; around the sign of a comparison such as p = .05 or k = 16; inside of an interval.
_GLUED = re.compile(
    rf"(?<=\d) (?=%)|(?<=\b[pkT]) (?=[=≤<>] [\d.])|(?<=\b[pkT] [=≤<>]) (?=[\d.])"
    rf"|\[(?=[^\[\]]{{1,{NARROW}}}\])[-−<]?[\d.,]+(?: %)?, [-−<]?[\d.,]+(?: %)?\]"
)


def unbroken(text: str) -> str:
    """The text with spaces that no line breaks at in `57.5 %`, `p = 0.29` and `[0.392, 0.585]`; others as they are."""
    return _GLUED.sub(lambda found: found[0].replace(" ", "\u00a0"), text)
