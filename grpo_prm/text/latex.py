"""Text made safe for LaTeX."""

from __future__ import annotations

import re

from .printable import printable

_ESCAPES = str.maketrans(
    {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "$": r"\$", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}",
     "^": r"\textasciicircum{}", "\\": r"\textbackslash{}", "λ": r"$\lambda$", "π": r"$\pi$", "ε": r"$\epsilon$",
     "β": r"$\beta$", "±": r"$\pm$", "<": r"$<$", ">": r"$>$", "|": r"$|$", "≤": r"$\leq$", "≥": r"$\geq$"}
)  # fmt: skip


def tex(text: object) -> str:
    """Escape what LaTeX would take for a command or not print, and write the signs of our tables as mathematics."""
    return printable(str(text)).translate(_ESCAPES)


def tex_number(cell: str) -> str:
    """A cell of numbers: a hyphen before a digit is a minus sign."""
    return re.sub(r"-(?=[\d.])", "$-$", tex(cell))
