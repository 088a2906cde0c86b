"""HTML for a notebook: one style for all of it, without a script. What a log says is text there, never markup.

A notebook has the colours of its reader, and tells them to nobody. So text has the colour that it has around it, and
what is tinted lets the ground shine through: both read well on light and on dark. Every rule begins with `NAME`, and
nothing outside is styled; where a viewer takes the style away, lists, tables and text are left.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ..text.cells import Rows
from ..text.printable import printable
from ..text.unbroken import WHOLE, unbroken, whole_options

NAME = "grpo-prm"
RAISED, LOWERED = "0, 114, 178", "213, 94, 0"  # blue and vermilion, which colour-blind eyes tell apart too
_RULES = (
    ("", "max-width: 60em; line-height: 1.45; overflow-wrap: anywhere"),
    (" p", "margin: 0 0 .5em"),
    (" dl, div.{} dd, div.{} ul", "margin: 0; padding: 0"),
    (" dt", "margin: .6em 0 0; font-weight: bold"),
    (" figure", "margin: 1em 0; max-width: 640px"),
    (" img", "display: block; max-width: 100%; background: #fff; border-radius: 4px"),
    (" figcaption", "margin: .3em 0 0; font-size: .9em"),
    (" summary", "margin: .6em 0; cursor: pointer"),
    (" table", "margin: 0 0 .5em; border-collapse: collapse"),
    (" th, div.{} td", "padding: .15em 1.5em .15em 0; text-align: left; vertical-align: top"),
    (" li", "margin: 0; list-style: none"),
    (" li li", "margin-left: 1.1em"),
    (" li li.deep", "margin-left: 0"),
    (" .box", "margin: 2px 0; padding: .1em .6em .2em; border-left: 4px solid rgba(128, 128, 128, .8)"),
    (" .box.raised", f"border-color: rgb({RAISED})"),
    (" .box.lowered", f"border-color: rgb({LOWERED})"),
    (" .numbers", "font-size: .9em; font-variant-numeric: tabular-nums"),
    (" .text", "font-family: monospace; white-space: pre-wrap"),
    (f" .{WHOLE}", "white-space: nowrap"),
)
STYLE = "".join(f"div.{NAME}{selector.replace('{}', NAME)} {{ {declarations} }}\n" for selector, declarations in _RULES)


def framed(parts: Iterable[str]) -> str:
    """Pieces of HTML as one output with its style."""
    return f"<div class='{NAME}'><style>\n{STYLE}</style>{''.join(parts)}</div>"


def shown(text: str) -> str:
    """Text as HTML shows it: escaped, and without characters that steer or hide."""
    return escape(printable(text))


def element(name: str, text: str, kind: str = "") -> str:
    """Text inside an element; `kind` is its class."""
    return f"<{name}{f' class={kind!r}' if kind else ''}>{shown(text)}</{name}>"


def worded(name: str, sentence: str) -> str:
    """A sentence inside an element: numbers stay with what belongs to them, and options whole."""
    return f"<{name}>{whole_options(shown(unbroken(sentence)))}</{name}>"


def pieces(body: Iterable[str | Rows]) -> str:
    """Sentences and small tables, as `text.wording.sections` has them."""
    return "".join(_table(part) if isinstance(part, Rows) else worded("p", part) for part in body)


def _table(table: Rows) -> str:
    head = "".join(element("th", column) for column in table.columns)
    body = "".join(f"<tr>{''.join(element('td', unbroken(cell)) for cell in row)}</tr>" for row in table.rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
