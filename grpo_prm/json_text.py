"""Values as JSON that is safe on a terminal: what could command it, or hide from its reader, is escaped."""

from __future__ import annotations

import json
import unicodedata
from typing import Any


def json_text(value: Any, **more: Any) -> str:
    r"""JSON with letters of any language as they are, and control, format and surrogate characters as `\u202e`.

    Args:
        value: No NaN in it.
        more: Of `json.dumps`.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, **more)
    # Only strings hold such characters, where an escape means the same; line breaks between fields stay.
    odd = {c for c in set(text) if not c.isprintable() and c != "\n" and unicodedata.category(c) != "Zs"}
    return text.translate({ord(c): json.dumps(c)[1:-1] for c in odd}) if odd else text


def unicode_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: an object in whose names half of a surrogate pair, which no column has, is U+FFFD."""
    return {_unicode(name): value for name, value in pairs}


def _unicode(name: str) -> str:
    if name.isascii():
        return name
    return name.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
