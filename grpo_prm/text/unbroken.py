"""What stays on one line on pages that break lines at spaces and behind dashes: numbers with their signs, options."""

from __future__ import annotations

import re

NARROW = 24  # characters of brackets that are kept together: more would not fit a narrow column
WHOLE = "nowrap"  # class of what no line breaks in
# Before a sign of percent; around the sign of a comparison such as p = .05 or k = 16; inside of an interval.
_GLUED = re.compile(
    rf"(?<=\d) (?=%)|(?<=\b[pkT]) (?=[=≤<>] [\d.])|(?<=\b[pkT] [=≤<>]) (?=[\d.])"
    rf"|\[(?=[^\[\]]{{1,{NARROW}}}\])[-−<]?[\d.,]+(?: %)?, [-−<]?[\d.,]+(?: %)?\]"
)
_OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]{0,30}(?![\w-])")  # a longer one is none of ours


def unbroken(text: str) -> str:
    """The text with spaces that no line breaks at in `57.5 %`, `p = 0.29` and `[0.392, 0.585]`; others as they are."""
    return _GLUED.sub(lambda found: found[0].replace(" ", "\u00a0"), text)


def whole_options(html: str) -> str:
    """Text of a page with options such as `--no-figures` in a span of class `WHOLE`: copied, they are what they were.

    Args:
        html: Escaped text, without markup.
    """
    return _OPTION.sub(rf"<span class='{WHOLE}'>\g<0></span>", html)
