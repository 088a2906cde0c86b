"""Text of a log made safe to show: what could command a terminal, or hide from its reader, is written as an escape."""

from __future__ import annotations

import unicodedata


def printable(text: str, newline: str = "⏎") -> str:
    r"""Write control, format, private, unassigned and surrogate characters as escapes such as `\x1b` or `\u202e`.

    Spaces of any width stay. A text without such characters is returned as it is.

    Args:
        text: Anything a log or a model wrote.
        newline: What takes the place of a line break; a line break keeps it.
    """
    # Spaces (Zs) are not all printable to Python, but they hide nothing.
    odd = {c for c in set(text) if not c.isprintable() and unicodedata.category(c) != "Zs"}
    # Nearly every text of a log: its characters are looked at once and nothing is copied.
    if not odd:
        return text
    return text.translate({ord(c): newline if c == "\n" else _escape(ord(c)) for c in odd})


def _escape(code: int) -> str:
    named = {9: r"\t", 13: r"\r"}
    return named.get(code) or (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )
